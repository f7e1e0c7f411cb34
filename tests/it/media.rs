//! The media matrix: files of containers, codecs and what befalls them, made on the spot, and read as a player plays them. A part
//! runs in `make test`, all of it in `make media-matrix`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use transcription_worker::audio::{AudioOptions, AudioReport, read_samples};
use transcription_worker::fault::{Code, Fault};

use crate::rig::{repository, scratch};
use cells::{Cell, End};

mod cells;
mod compare;

#[test]
fn each_container_and_each_kind_of_file_is_read_as_a_player_plays_it() {
    run(cells::all().into_iter().filter(|cell| cell.is_sample).collect());
}

#[test]
#[ignore = "takes minutes: make media-matrix"]
fn media_matrix() {
    let cells = cells::all();
    assert!(cells.len() >= 200, "{} files", cells.len());
    run(cells);
}

/// What came of a cell: with ffmpeg on the path, and without.
type Outcomes = [Result<String, String>; 2];

fn run(cells: Vec<Cell>) {
    let only = std::env::var("CELL").unwrap_or_default();
    let folder = scratch();
    prepare(folder.path());
    let mut outcomes: Vec<(Cell, Outcomes)> = Vec::new();
    for cell in cells {
        if !only.is_empty() && !format!("{}-{}-{}", cell.container, cell.codec, cell.kind).contains(&only) {
            continue;
        }
        let outcome = judge(folder.path(), &cell);
        outcomes.push((cell, outcome));
    }
    print(&outcomes);
    let red: Vec<String> = outcomes
        .iter()
        .flat_map(|(cell, ends)| {
            let named = |way, end: &Result<String, String>| {
                let reason = end.as_ref().err()?;
                Some(format!("{} {} {} ({way}): {reason}", cell.container, cell.codec, cell.kind))
            };
            [named("with ffmpeg", &ends[0]), named("without", &ends[1])]
        })
        .flatten()
        .collect();
    assert!(red.is_empty(), "{} of {} files:\n{}", red.len(), outcomes.len(), red.join("\n"));
}

/// The inputs of all recipes: 11 s of speech, as much silence, 16 s of a picture.
fn prepare(folder: &Path) {
    let speech = repository().join("tests/audio/jfk.flac");
    let speech = speech.display();
    for command in [
        format!("ffmpeg -nostdin -v error -i {speech} -ar 32000 -ac 1 speech.wav"),
        "ffmpeg -nostdin -v error -f lavfi -i anullsrc=r=32000:cl=mono -t 11 silence.wav".to_owned(),
        "ffmpeg -nostdin -v error -f lavfi -i testsrc=size=64x64:rate=5:duration=16 -c:v mpeg4 video.mkv".to_owned(),
    ] {
        assert_eq!(shell(folder, &command), Ok(()));
    }
}

fn judge(folder: &Path, cell: &Cell) -> Outcomes {
    for command in &cell.commands {
        if let Err(reason) = shell(folder, command) {
            let reason = format!("it cannot be made: {command}: {reason}");
            return [Err(reason.clone()), Err(reason)];
        }
    }
    let path = folder.join(&cell.file);
    let wanted = if cell.end == End::Encrypted { Vec::new() } else { reference(&path, cell) };
    let ends = [Some(PathBuf::from("ffmpeg")), None].map(|ffmpeg| {
        let without = ffmpeg.is_none();
        match (ours(&path, ffmpeg), cell.end) {
            (Err(Fault::Permanent(problem)), End::Encrypted) if problem.code == Code::EncryptedAudio => {
                Ok("encrypted".to_owned())
            }
            (Err(Fault::Permanent(problem)), _) if without && problem.code == Code::UnsupportedFormat => {
                Ok("unsupported".to_owned())
            }
            (Err(fault), _) => Err(fault.to_string()),
            (Ok(_), End::Encrypted) => Err("it was read".to_owned()),
            // whose writer marked the silent track as the one to play
            (Ok((report, samples)), _)
                if cell.kind == "two-silent" && report.warnings.iter().all(|w| w.code == Code::SilentTrack) =>
            {
                compare::difference(&samples, &wanted).map_or(Ok("same".to_owned()), Err)
            }
            (Ok((report, _)), _) if !report.warnings.is_empty() => Err(format!("{:?}", report.warnings)),
            (Ok((_, samples)), _) => compare::difference(&samples, &wanted).map_or(Ok("same".to_owned()), Err),
        }
    });
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        let name = file.file_name();
        if name.to_string_lossy().starts_with(&format!("{}-{}-{}", cell.container, cell.codec, cell.kind)) {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    ends
}

fn ours(path: &Path, ffmpeg: Option<PathBuf>) -> Result<(AudioReport, Vec<f32>), Fault> {
    let options = AudioOptions { channels: Default::default(), max_duration_secs: 3_600.0, ffmpeg, clip: None };
    let mut samples = Vec::new();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let report = read_samples(path, &name, &options, &mut |piece| samples.extend_from_slice(piece))?;
    Ok((report, samples))
}

/// What ffmpeg makes of the file, by the times in it or by the packets alone.
fn reference(path: &Path, cell: &Cell) -> Vec<f32> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-dts_delta_threshold", "600", "-i"]).arg(path);
    command.args(["-map", &format!("0:a:{}", cell.track)]);
    if cell.end == End::Sound {
        command.args(["-af", "aresample=async=1:first_pts=0"]);
    }
    command.args(["-ac", "1", "-ar", "16000", "-f", "f32le", "-"]);
    // a picture that is not used has no start for ffmpeg
    if cell.kind == "late" {
        command.args(["-map", "0:v:0", "-c", "copy", "-f", "null", "-"]);
    }
    let output = command.output().unwrap();
    output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn shell(folder: &Path, command: &str) -> Result<(), String> {
    // filters have brackets that a shell would read
    let quoted = command.replace('(', "\\(").replace(')', "\\)").replace("\\,", "\\\\,");
    let output = Command::new("sh").arg("-c").arg(quoted).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|e| e.to_string())?;
    // mkvmerge ends with 1 after a warning
    let is_fine = output.status.success() || (command.starts_with("mkvmerge") && output.status.code() == Some(1));
    if is_fine { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A row for each container and codec, a column for each kind: what came with ffmpeg, and without.
fn print(outcomes: &[(Cell, Outcomes)]) {
    let kinds: BTreeSet<&str> = outcomes.iter().map(|(cell, _)| cell.kind).collect();
    let mut rows: BTreeMap<(&str, &str), BTreeMap<&str, String>> = BTreeMap::new();
    for (cell, ends) in outcomes {
        let sign = |end: &Result<String, String>| match end.as_deref() {
            Ok("same") => 'o',
            Ok("encrypted") => 'e',
            Ok(_) => 'u',
            Err(_) => 'X',
        };
        let text = ends.iter().map(sign).collect::<String>();
        rows.entry((cell.container, cell.codec)).or_default().insert(cell.kind, text);
    }
    println!("with ffmpeg and without: o the same, u UNSUPPORTED_FORMAT, e ENCRYPTED_AUDIO, X wrong");
    println!("{:22}{}", "", kinds.iter().map(|kind| format!("{kind:>15}")).collect::<String>());
    for ((container, codec), cells) in rows {
        let cells = kinds.iter().map(|kind| format!("{:>15}", cells.get(kind).map_or(".", String::as_str)));
        println!("{:22}{}", format!("{container} {codec}"), cells.collect::<String>());
    }
    println!("{} files", outcomes.len());
}
