//! Audio of this world: an object whose content is a script, and whose windows are numbers.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use transcription_worker::audio::recording::{Decoded, Decoding, LikelySecs, OnStep, Recording};
use transcription_worker::audio::{AudioOptions, AudioReport, Found, SAMPLE_RATE_HZ, Span, Window};
use transcription_worker::fault::{Code, Fault};
use transcription_worker::fetch::Fetch;
use transcription_worker::handler::Control;
use transcription_worker::objects::{Location, ObjectInfo, Objects};
use transcription_worker::transcript::{AudioRef, Warning};

use crate::engine::{FATAL, SPEECH};
use crate::jobs::{Audio, Script};
use crate::wire::Wire;

/// Seconds of speech in a window; too few for a pace to be judged.
const WINDOW_SECS: u32 = 5;
/// How long a window takes to decode.
const DECODING: Duration = Duration::from_millis(20);

/// Brings scripts to a machine.
pub struct Fetcher(pub Arc<Wire>);

#[async_trait]
impl Fetch for Fetcher {
    async fn fetch(&self, at: &Location, info: &ObjectInfo, control: &Control) -> Result<Box<dyn Recording>, Fault> {
        let get = async {
            let mut body = self.0.get(at, 0..info.size_bytes, &info.etag).await?;
            let mut content = Vec::new();
            while let Some(chunk) = body.next().await {
                content.extend_from_slice(&chunk?);
            }
            Ok(content)
        };
        let content = tokio::select! {
            biased;
            () = control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
            () = control.abort.cancelled() => return Err(Fault::Interrupted),
            content = get => content?,
        };
        let script = Script::parse(&String::from_utf8_lossy(&content)).unwrap();
        self.0.fetched(script.number);
        Ok(Box::new(Tape { script, wire: self.0.clone() }))
    }
}

struct Tape {
    script: Script,
    wire: Arc<Wire>,
}

impl Recording for Tape {
    fn likely_secs(&self, _: &str) -> LikelySecs {
        Box::pin(ready(Some(f64::from(self.script.windows * WINDOW_SECS))))
    }

    fn decode(self: Box<Self>, name: String, _: AudioOptions, to: mpsc::Sender<Window>, on_step: OnStep) -> Decoding {
        let Self { script, wire } = *self;
        Box::pin(async move {
            wire.decoding(script.number);
            for index in 0..script.windows {
                sleep(DECODING).await;
                on_step();
                let is_middle = index == script.middle();
                match script.audio {
                    Audio::Corrupt if is_middle => {
                        return Err(Fault::permanent(Code::CorruptAudio, format!("{name} cannot be decoded")));
                    }
                    Audio::KillsWorkers if is_middle => {
                        wire.crash("audio that kills");
                        std::future::pending::<()>().await;
                    }
                    _ => {}
                }
                let fatal = is_middle && script.audio == Audio::KillsEngines;
                if to.send(window(script.number, index, fatal)).await.is_err() {
                    return Err(Fault::Interrupted);
                }
            }
            let message = || "packets were skipped".to_owned();
            let damaged =
                (script.audio == Audio::Damaged).then(|| Warning { code: Code::DamagedAudio, message: message() });
            let duration = f64::from(script.windows * WINDOW_SECS);
            let audio = AudioRef { duration, speech_duration: duration, ..AudioRef::default() };
            let report = AudioReport { audio, warnings: damaged.into_iter().collect(), ..AudioReport::default() };
            Ok(Decoded { speakers: None, report, busy: DECODING * script.windows })
        })
    }
}

fn window(number: u32, index: u32, fatal: bool) -> Window {
    let len = (WINDOW_SECS * SAMPLE_RATE_HZ) as usize;
    let span = Span { window_start: 0, source_start: u64::from(index) * len as u64, len };
    let pcm = vec![if fatal { FATAL } else { SPEECH }, number as f32, index as f32];
    Window { index, channel: None, pcm, spans: vec![span], found: Found::Voice }
}
