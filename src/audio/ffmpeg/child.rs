//! The `ffmpeg` process: what it may open, what it may use, how its output is read.

use std::io::{self, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Work;

/// Address space of the child: a decoder needs tens of MiB, a hostile header may ask for anything.
#[cfg(target_os = "linux")]
const MEMORY_BYTES: u64 = 2 << 30;

/// How much of what the child says is kept, bytes.
const TOLD_BYTES: usize = 64 * 1024;

/// How many lines of its complaints, and bytes of those, are passed on.
const COMPLAINT_LINES: usize = 3;
const COMPLAINT_BYTES: usize = 2_000;

/// Demuxers of files that hold their audio themselves. Playlists, session descriptions and lists of files are not among them:
/// they name further files and hosts. Nor are raw samples, which anything could be.
const FORMATS: &str = "aa,aac,aax,ac3,ac4,aea,aiff,alaw,amr,amrnb,amrwb,apc,ape,aptx,aptx_hd,asf,asf_o,ast,au,avi,avr,bit,\
    brstm,caf,codec2,dhav,dsf,dss,dts,dtshd,dv,ea,eac3,epaf,flac,flv,g722,g723_1,g726,g726le,g729,gsm,gxf,hca,iff,ilbc,\
    ircam,ivf,ivr,kux,live_flv,loas,lvf,m4v,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,\
    mpegtsraw,mtaf,mxf,mmf,nistsphere,nsv,nut,ogg,oma,paf,pmp,pva,qcp,r3d,rl2,rm,rso,sbc,sds,shn,sln,sol,sox,svag,\
    tak,truehd,tta,ty,voc,vqf,w64,wav,wsd,wtv,wv,wve,xa,xwma,xvag";

/// Bytes per message from the reading thread; four may be waiting.
const PIECE_BYTES: usize = 64 * 1024;

/// A jump of a transport stream's clock up to this long is a gap, seconds; ffmpeg believes ten.
const LONGEST_GAP: &str = "600";

/// What is asked of the child behind its input.
pub type Request = Vec<String>;

/// To say what is in the file, and end.
pub fn listing() -> Request {
    Vec::new()
}

/// To decode an audio track into Matroska, which keeps the time of each packet. The picture, copied to nowhere, is there for its
/// time alone: of a transport stream ffmpeg takes the start of what is used for the start of all.
pub fn decoding(index: usize, picture: Option<u32>) -> Request {
    let map = format!("0:a:{index}");
    let mut request = ["-map", &map, "-c:a", "pcm_f32le", "-f", "matroska", "pipe:1"].map(str::to_owned).to_vec();
    if let Some(picture) = picture {
        let map = format!("0:{picture}");
        request.extend(["-map", &map, "-c", "copy", "-f", "null", "-"].map(str::to_owned));
    }
    request
}

/// A running child; dropping it ends it.
pub struct Ffmpeg {
    child: Child,
    output: Option<Pieces>,
    told: Option<JoinHandle<String>>,
    hung: Arc<AtomicBool>,
}

/// The child's output, as it comes.
pub struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    /// How long it may give nothing.
    silence: Duration,
    hung: Arc<AtomicBool>,
    is_over: bool,
}

impl Ffmpeg {
    /// Starts it on a file.
    ///
    /// # Errors
    /// The system's: there is no such program, or no room for it.
    pub fn start(work: Work<'_>, request: &Request) -> io::Result<Self> {
        // a name that looks like an option or a protocol must stay a file name
        let mut input = std::ffi::OsString::from("file:");
        input.push(work.path);
        let level = if request.is_empty() { "info" } else { "error" };
        let mut child = Command::new(work.program)
            .args(["-nostdin", "-hide_banner", "-v", level, "-threads", "1"])
            .args(["-dts_delta_threshold", LONGEST_GAP])
            .args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-i"])
            .arg(input)
            .args(request)
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
        let told = std::thread::spawn(move || stderr.map(last_of).unwrap_or_default());
        let hung = Arc::new(AtomicBool::new(false));
        let silence = work.silence;
        let piece = io::Cursor::new(Vec::new());
        let output = Pieces { pieces, piece, silence, hung: hung.clone(), is_over: false };
        Ok(Self { child, output: Some(output), told: Some(told), hung })
    }

    /// What it writes; once.
    pub fn output(&mut self) -> Option<BufReader<Pieces>> {
        self.output.take().map(BufReader::new)
    }

    /// Whether it gave nothing for too long.
    pub fn hung(&self) -> bool {
        self.hung.load(Ordering::Relaxed)
    }

    /// How it ended, and the end of its complaints. One whose output was not read to its end is killed.
    pub fn end(mut self, read_all: bool) -> (io::Result<ExitStatus>, String) {
        if !read_all {
            let _ = self.child.kill();
        }
        let told = self.told.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        (self.child.wait(), complaint(&without_trifles(&told)))
    }

    /// All that it says, of one that writes nothing.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn told(mut self) -> io::Result<String> {
        let mut output = self.output().unwrap_or_else(|| BufReader::new(Pieces::none()));
        io::copy(&mut output, &mut io::sink())?;
        Ok(self.told.take().and_then(|thread| thread.join().ok()).unwrap_or_default())
    }
}

impl Pieces {
    fn none() -> Self {
        let (_, pieces) = sync_channel(0);
        let (piece, hung) = (io::Cursor::new(Vec::new()), Arc::new(AtomicBool::new(false)));
        Self { pieces, piece, silence: Duration::ZERO, hung, is_over: true }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.is_over && self.piece.position() >= self.piece.get_ref().len() as u64 {
            match self.pieces.recv_timeout(self.silence) {
                Ok(Ok(piece)) => {
                    self.is_over = piece.is_empty();
                    self.piece = io::Cursor::new(piece);
                }
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => self.is_over = true,
                Err(RecvTimeoutError::Timeout) => {
                    self.hung.store(true, Ordering::Relaxed);
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
        self.piece.read(into)
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of what `stderr` says.
fn last_of(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut piece) {
        kept.extend_from_slice(piece.get(..count).unwrap_or_default());
        let surplus = kept.len().saturating_sub(TOLD_BYTES);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What was told, without the error that an empty packet is, which some muxers write at the end to correct a header.
fn without_trifles(told: &str) -> String {
    let is_trifle = |line: &&str| line.starts_with("Error while decoding stream") && line.ends_with("Invalid argument");
    told.lines().filter(|line| !is_trifle(line)).collect::<Vec<_>>().join("\n")
}

/// The last lines of what was told, as one.
pub fn complaint(told: &str) -> String {
    let lines: Vec<_> = told.lines().rev().filter(|line| !line.trim().is_empty()).take(COMPLAINT_LINES).collect();
    let line = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
    let from = line.char_indices().map(|(at, _)| at).find(|at| line.len() - at <= COMPLAINT_BYTES).unwrap_or(0);
    line.get(from..).unwrap_or_default().to_owned()
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
