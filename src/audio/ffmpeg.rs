//! The formats nobody else reads, through an `ffmpeg` child: local files only, bounded in time and memory. It demultiplexes and
//! decodes; when its samples are played is said by the times that come with them.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use self::child::{Ffmpeg, Request};
use self::listing::Listing;
use super::AudioReport;
use super::container::Opened;
use super::container::matroska::Matroska;
use super::container::matroska::ebml::PipeSource;
use super::failure::Failure;
use super::packets::{self, Source, Tally};
use super::streams::{Sink, Streams};
use super::tracks;
use crate::fault::{Code, Fault, Problem};
use crate::transcript::{AudioRef, Warning};

mod child;
mod listing;
#[cfg(test)]
mod tests;

/// A child that gives nothing for this long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// What ffmpeg calls streams of bare frames. The times that it gives these are counted, at a rate that may change.
const CLOCKLESS: [&str; 8] = ["aac", "ac3", "dts", "eac3", "flac", "loas", "mp3", "truehd"];

/// A program, a file for it, and how long it may give nothing.
#[derive(Clone, Copy)]
struct Work<'a> {
    program: &'a Path,
    path: &'a Path,
    name: &'a str,
    silence: Duration,
}

/// Decodes an audio track of `path` into `streams`: the default one, else the first with sound. `problem` is why the
/// built-in decoders could not.
pub fn decode(program: &Path, path: &Path, streams: &mut Streams<'_>, problem: Problem) -> Result<AudioReport, Fault> {
    let work = Work { program, path, name: streams.name(), silence: SILENCE_LIMIT };
    decode_within(work, streams, problem)
}

fn decode_within(work: Work<'_>, streams: &mut Streams<'_>, problem: Problem) -> Result<AudioReport, Fault> {
    let name = work.name;
    let listing = work.listing()?;
    let choice = tracks::choose(&listing.tracks, |index| has_sound(work, streams, index));
    let has_clock = !listing.container.as_deref().is_some_and(|container| CLOCKLESS.contains(&container));
    let request = child::decoding(choice.index, listing.picture);
    let heard = listen(work, &request, has_clock, streams)?;
    if streams.secs() == 0.0 {
        let complaint = if heard.complaint.is_empty() { &listing.complaint } else { &heard.complaint };
        if complaint.contains("matches no streams") {
            return Err(Fault::permanent(Code::NoAudioTrack, format!("{name} has no audio track")));
        }
        if complaint.contains("encrypted") || complaint.contains("DRM protected") {
            let message = format!("{name} is encrypted: its audio cannot be read without a key ({complaint})");
            return Err(Fault::permanent(Code::EncryptedAudio, message));
        }
        let message = format!("{}; ffmpeg cannot read it either: {complaint}", problem.message);
        return Err(Fault::permanent(problem.code, message));
    }
    streams.finish()?;
    let mut warnings = Vec::new();
    if !heard.succeeded || !heard.complaint.is_empty() {
        let message = format!("ffmpeg met damage: {}", heard.complaint);
        warnings.push(Warning { code: Code::DamagedAudio, message });
    }
    warnings.extend(choice.warning(heard.tally.is_silent, &listing.tracks));
    let codec = listing.tracks.get(choice.index).map(|track| track.codec.clone());
    let audio = AudioRef {
        duration: streams.end_secs(),
        codec: codec.unwrap_or_else(|| "ffmpeg".to_owned()),
        container: listing.container.unwrap_or_else(|| "ffmpeg".to_owned()),
        sample_rate_hz: streams.rate_hz(),
        channels: streams.channels(),
        speech_duration: streams.speech_secs(),
        tracks: choice.listed(&listing.tracks),
    };
    Ok(AudioReport { audio, warnings, sounds: streams.sounds() })
}

/// What came of a child.
struct Heard {
    tally: Tally,
    succeeded: bool,
    complaint: String,
}

/// Brings what is requested into `streams`.
fn listen(work: Work<'_>, request: &Request, has_clock: bool, streams: &mut Streams<'_>) -> Result<Heard, Fault> {
    let name = work.name;
    let mut ffmpeg = Ffmpeg::start(work, request).map_err(|e| work.unstartable(&e))?;
    let tally = match source(&mut ffmpeg, has_clock) {
        Some(mut source) => packets::pump(&mut source, streams).map_err(|failure| match failure {
            Failure::Fault(fault) => fault,
            Failure::Unreadable(problem) => Fault::Permanent(problem),
        }),
        // it gave nothing that could be read: what it says tells why
        None => Ok(Tally::default()),
    };
    let hung = ffmpeg.hung();
    let (status, complaint) = ffmpeg.end(tally.is_ok() && !hung && !streams.is_over());
    // where it lies meanwhile is nobody's business
    let complaint = complaint.replace(&format!("file:{}", work.path.display()), name);
    if hung {
        return Err(ended(name, &format!("gave nothing for {} s", work.silence.as_secs())));
    }
    let tally = tally?;
    // only its own exit status says something of the file: signals come from people, supervisors and the kernel
    match status.map(|status| (status, status.signal())) {
        // all that is wanted was read, and it was killed for that
        _ if streams.is_over() => Ok(Heard { tally, succeeded: true, complaint: String::new() }),
        Ok((status, None)) => Ok(Heard { tally, succeeded: status.success(), complaint }),
        Ok((_, Some(signal))) => Err(ended(name, &format!("was killed by signal {signal}"))),
        Err(error) => Err(ended(name, &format!("cannot be waited for: {error}"))),
    }
}

/// Whether a track holds more than silence.
fn has_sound(work: Work<'_>, streams: &Streams<'_>, index: usize) -> bool {
    let Ok(mut ffmpeg) = Ffmpeg::start(work, &child::decoding(index, None)) else { return false };
    let mut ignored = |_: &[f32]| ();
    let mut trial = Streams::new(work.name, streams.options(), Sink::Samples(&mut ignored));
    source(&mut ffmpeg, false).is_some_and(|mut source| packets::finds_sound(&mut source, &mut trial))
}

/// What the child writes, as a source of packets.
fn source(ffmpeg: &mut Ffmpeg, has_clock: bool) -> Option<Source> {
    let file = Matroska::open(PipeSource(ffmpeg.output()?)).ok()?;
    let (mut packets, format) = file.packets(0).ok()?;
    packets.take_times_as_they_are(has_clock);
    let opened = Opened { demuxer: Box::new(packets), container: "ffmpeg", format, expected_secs: None };
    Source::new(opened).ok()
}

impl Work<'_> {
    /// What the program says is in the file.
    fn listing(&self) -> Result<Listing, Fault> {
        let ffmpeg = Ffmpeg::start(*self, &child::listing()).map_err(|e| self.unstartable(&e))?;
        let told =
            ffmpeg.told().map_err(|_| ended(self.name, &format!("gave nothing for {} s", self.silence.as_secs())))?;
        Ok(Listing::read(&told.replace(&format!("file:{}", self.path.display()), self.name)))
    }

    fn unstartable(&self, error: &io::Error) -> Fault {
        let message = format!("failed to start {} for {}: {error}", self.program.display(), self.name);
        Fault::transient(Code::Internal, message)
    }
}

/// The fault of a child that did not end by itself.
fn ended(name: &str, how: &str) -> Fault {
    Fault::transient(Code::Internal, format!("failed to decode {name}: ffmpeg {how}"))
}
