//! Files of speech as long as a measurement wants them, and jobs that hear them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::TempDir;

use crate::audio::recording::LocalFile;
use crate::audio::{AudioOptions, SAMPLE_RATE_HZ, read_samples};
use crate::handler::Control;
use crate::job::Channels;
use crate::pipeline::Defaults;
use crate::pipeline::listen::{Heard, Listening, listen};
use crate::transcribe::Transcriber;
use crate::transcribe::task::Share;

/// A folder of such files.
pub struct Stage {
    folder: TempDir,
    clip: Vec<i16>,
}

impl Stage {
    /// Files made of this clip.
    ///
    /// # Errors
    /// A sentence that names the clip or the folder.
    pub fn new(clip: &Path, defaults: &Defaults) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| format!("failed to make a temporary folder: {e}"))?;
        Ok(Self { folder, clip: samples_of(clip, defaults)? })
    }

    /// So many seconds of it, over and over.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn make(&self, name: &str, secs: usize) -> Result<(), String> {
        write_wav(&self.folder, name, &self.clip, secs)
    }

    /// A job that hears a file; told how many seconds of it are done.
    ///
    /// # Errors
    /// The engine's.
    pub async fn hear(
        &self,
        name: &str,
        share: Share,
        on_progress: impl Fn(f64) + Send + Sync + 'static,
        defaults: &Defaults,
        engine: &Transcriber,
    ) -> Result<Heard, String> {
        let listening = Listening {
            recording: Box::new(LocalFile::new(self.folder.path().join(name))),
            name: name.to_owned(),
            audio: defaults.audio.clone(),
            options: defaults.window.clone(),
            share,
            on_progress: Some(Box::new(on_progress)),
            on_step: Box::new(|| ()),
            resume: None,
        };
        listen(listening, engine, &Control::default()).await.map_err(|fault| fault.to_string())
    }
}

/// The clip at 16 kHz.
fn samples_of(clip: &Path, defaults: &Defaults) -> Result<Vec<i16>, String> {
    let mut samples = Vec::new();
    let mut take = |piece: &[f32]| samples.extend(piece.iter().map(|sample| (sample * 32_767.0) as i16));
    let options = AudioOptions { channels: Channels::Mix, ..defaults.audio.clone() };
    read_samples(clip, &clip.display().to_string(), &options, &mut take).map_err(|fault| fault.to_string())?;
    if samples.is_empty() { Err(format!("{} holds no audio", clip.display())) } else { Ok(samples) }
}

/// `secs` of the clip, over and over, as 16-bit WAV.
fn write_wav(folder: &TempDir, name: &str, clip: &[i16], secs: usize) -> Result<(), String> {
    let path = folder.path().join(name);
    let samples = secs * SAMPLE_RATE_HZ as usize;
    let bytes = u32::try_from(samples * 2).unwrap_or(u32::MAX);
    let write = || -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        file.write_all(b"RIFF")?;
        file.write_all(&bytes.saturating_add(36).to_le_bytes())?;
        file.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0")?;
        file.write_all(&SAMPLE_RATE_HZ.to_le_bytes())?;
        file.write_all(&(SAMPLE_RATE_HZ * 2).to_le_bytes())?;
        file.write_all(b"\x02\0\x10\0data")?;
        file.write_all(&bytes.to_le_bytes())?;
        for sample in clip.iter().cycle().take(samples) {
            file.write_all(&sample.to_le_bytes())?;
        }
        file.flush()
    };
    write().map_err(|e| format!("failed to write {}: {e}", path.display()))
}
