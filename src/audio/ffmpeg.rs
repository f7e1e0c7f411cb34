//! The formats nobody else reads, through an `ffmpeg` child: local files only, bounded in time and memory.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::AudioReport;
use super::streams::{MAX_CHANNELS, Streams};
use crate::fault::{Code, Fault, Problem};
use crate::transcript::{AudioRef, Warning};

#[cfg(test)]
mod tests;

/// A child that gives nothing for this long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Address space of the child: a decoder needs tens of MiB, a hostile header may ask for anything.
#[cfg(target_os = "linux")]
const MEMORY_BYTES: u64 = 2 << 30;

/// How much of the child's complaints is kept, bytes.
const COMPLAINT_BYTES: usize = 2_000;

/// Demuxers of files that are audio. Playlists are not among them: they name further files and hosts.
const FORMATS: &str = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,gsm,matroska,webm,mov,\
    mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,ogg,oma,rm,shn,tak,truehd,tta,voc,w64,wav,wv,xwma";

/// Bytes per message from the reading thread; four may be waiting.
const PIECE_BYTES: usize = 64 * 1024;

/// What the child writes before the samples: Sun's `.snd` header, the simplest that states rate and channels.
const AU_HEADER_BYTES: usize = 24;

/// A running child; dropping it ends it.
struct Ffmpeg {
    child: Child,
    pieces: Receiver<io::Result<Vec<u8>>>,
    complaints: Option<JoinHandle<String>>,
    /// Bytes received and not yet used.
    buffer: Vec<u8>,
    /// How long it may give nothing.
    silence: Duration,
}

/// Decodes the first audio track of `path` into `streams`. `problem` is why the built-in decoders could not.
pub fn decode(program: &Path, path: &Path, streams: &mut Streams<'_>, problem: Problem) -> Result<AudioReport, Fault> {
    decode_within(SILENCE_LIMIT, program, path, streams, problem)
}

fn decode_within(
    silence: Duration,
    program: &Path,
    path: &Path,
    streams: &mut Streams<'_>,
    problem: Problem,
) -> Result<AudioReport, Fault> {
    let name = streams.name();
    let mut ffmpeg = Ffmpeg::start(program, path, silence).map_err(|e| {
        Fault::transient(Code::Internal, format!("failed to start {} for {name}: {e}", program.display()))
    })?;
    let outcome = ffmpeg.pump(streams);
    let (status, complaint) = ffmpeg.end(outcome.is_ok());
    // where it lies meanwhile is nobody's business
    let complaint = complaint.replace(&format!("file:{}", path.display()), name);
    // only its own exit status says something of the file: signals come from people, supervisors and the kernel
    let status = match (outcome, status.map(|status| (status, status.signal()))) {
        (Err(Stop::Fault(fault)), _) => return Err(fault),
        (Ok(()), Ok((status, None))) => status,
        (Ok(()), Ok((_, Some(signal)))) => return Err(ended(name, &format!("was killed by signal {signal}"))),
        (Ok(()), Err(error)) => return Err(ended(name, &format!("cannot be waited for: {error}"))),
        (Err(Stop::Hung), _) => return Err(ended(name, &format!("gave nothing for {} s", silence.as_secs()))),
    };
    if streams.secs() == 0.0 {
        if complaint.contains("matches no streams") {
            return Err(Fault::permanent(Code::NoAudioTrack, format!("{name} has no audio track")));
        }
        let message = format!("{}; ffmpeg cannot read it either: {complaint}", problem.message);
        return Err(Fault::permanent(problem.code, message));
    }
    streams.finish()?;
    let mut warnings = Vec::new();
    if !status.success() || !complaint.is_empty() {
        warnings.push(Warning { code: Code::DamagedAudio, message: format!("ffmpeg met damage: {complaint}") });
    }
    let audio = AudioRef {
        duration: streams.secs(),
        codec: "ffmpeg".to_owned(),
        container: "ffmpeg".to_owned(),
        sample_rate_hz: streams.rate_hz(),
        channels: streams.channels(),
        speech_duration: streams.speech_secs(),
    };
    Ok(AudioReport { audio, warnings, sounds: streams.sounds() })
}

/// The fault of a child that did not end by itself.
fn ended(name: &str, how: &str) -> Fault {
    Fault::transient(Code::Internal, format!("failed to decode {name}: ffmpeg {how}"))
}

/// Why reading ended early.
enum Stop {
    Fault(Fault),
    Hung,
}

impl Ffmpeg {
    fn start(program: &Path, path: &Path, silence: Duration) -> io::Result<Self> {
        // a name that looks like an option or a protocol must stay a file name
        let mut input = std::ffi::OsString::from("file:");
        input.push(path);
        let mut child = Command::new(program)
            .args(["-nostdin", "-hide_banner", "-v", "error", "-threads", "1"])
            .args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-i"])
            .arg(input)
            .args(["-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"])
            // the worker's credentials are none of its business
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| key == "PATH" || key == "LD_LIBRARY_PATH"))
            // Ctrl-C and the signals of a supervisor are for us: jobs in flight run on
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        limit_memory(&child);
        let (send, pieces) = sync_channel(4);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::spawn(move || {
            let Some(mut stdout) = stdout else { return };
            loop {
                let mut piece = Vec::with_capacity(PIECE_BYTES);
                let read = stdout.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
                let ended = piece.is_empty() || read.is_err();
                if send.send(read.map(|_| piece)).is_err() || ended {
                    return;
                }
            }
        });
        let complaints = std::thread::spawn(move || stderr.map(last_of).unwrap_or_default());
        Ok(Self { child, pieces, complaints: Some(complaints), buffer: Vec::new(), silence })
    }

    /// Reads header and samples until the child closes its output.
    fn pump(&mut self, streams: &mut Streams<'_>) -> Result<(), Stop> {
        let header = |buffer: &[u8], at: usize| {
            buffer.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map_or(0, u32::from_be_bytes)
        };
        while self.buffer.len() < AU_HEADER_BYTES {
            if !self.receive()? {
                return Ok(());
            }
        }
        let (data_at, rate_hz) = (header(&self.buffer, 4) as usize, header(&self.buffer, 16));
        let channels = header(&self.buffer, 20) as usize;
        if channels == 0 || channels > MAX_CHANNELS {
            let message = format!("{} has {channels} channels, more than {MAX_CHANNELS}", streams.name());
            return Err(Stop::Fault(Fault::permanent(Code::UnsupportedFormat, message)));
        }
        while self.buffer.len() < data_at {
            if !self.receive()? {
                return Ok(());
            }
        }
        self.buffer.drain(..data_at);
        let mut planes = vec![Vec::new(); channels];
        loop {
            let whole = self.buffer.len() / (4 * channels) * 4 * channels;
            planes.iter_mut().for_each(Vec::clear);
            for frame in self.buffer.get(..whole).unwrap_or_default().chunks_exact(4 * channels) {
                for (plane, sample) in planes.iter_mut().zip(frame.chunks_exact(4)) {
                    plane.push(f32::from_bits(header(sample, 0)));
                }
            }
            self.buffer.drain(..whole);
            streams.push(rate_hz, &planes).map_err(Stop::Fault)?;
            if !self.receive()? {
                return Ok(());
            }
        }
    }

    /// More bytes into the buffer; `false` at the end.
    fn receive(&mut self) -> Result<bool, Stop> {
        match self.pieces.recv_timeout(self.silence) {
            Ok(Ok(piece)) => {
                self.buffer.extend_from_slice(&piece);
                Ok(!piece.is_empty())
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Ok(false),
            Err(RecvTimeoutError::Timeout) => Err(Stop::Hung),
        }
    }

    /// How the child ended, and the end of its complaints. One whose output was not read to its end is killed.
    fn end(mut self, read_all: bool) -> (io::Result<ExitStatus>, String) {
        if !read_all {
            let _ = self.child.kill();
        }
        let complaint = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        (self.child.wait(), complaint)
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of what `stderr` says, as one.
fn last_of(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut piece) {
        kept.extend_from_slice(piece.get(..count).unwrap_or_default());
        let surplus = kept.len().saturating_sub(COMPLAINT_BYTES);
        kept.drain(..surplus);
    }
    let text = String::from_utf8_lossy(&kept);
    text.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("; ")
}

#[cfg(target_os = "linux")]
fn limit_memory(child: &Child) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let limit = Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // without it the child is only bounded in time
        let _ = prlimit(Some(pid), Resource::As, limit);
    }
}

#[cfg(not(target_os = "linux"))]
fn limit_memory(_child: &Child) {}
