//! An engine that says what its windows' script says, and is as well as its machine.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};
use transcription_worker::transcribe::link::{Launch, Link};
use transcription_worker::transcribe::wire::{EngineInfo, PROTOCOL, Piece, Request, Response, WindowText};

use crate::chance::Chance;
use crate::jobs::words;
use crate::plan::Temper;
use crate::wire::Wire;

/// How long an engine takes to load.
const LOADING: Duration = Duration::from_secs(3);
/// The first sample of a window of ours, and of one that kills its engine. No sound is so loud, noise least of all.
pub const SPEECH: f32 = 2.0;
pub const FATAL: f32 = 3.0;

/// Starts engine number `engine` of a machine.
pub struct Launcher {
    pub wire: Arc<Wire>,
    pub engine: usize,
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "engine {} of {}", self.engine, self.wire.life)
    }
}

#[async_trait]
impl Launch for Launcher {
    async fn launch(&self) -> Result<Box<dyn Link>, String> {
        sleep(LOADING).await;
        let (world, machine) = (&self.wire.world, self.wire.machine());
        let temper = machine.engines[self.engine].temper(world.now());
        self.wire.note(format_args!("engine {} starts, {temper:?}", self.engine));
        if temper == Temper::Absent {
            return Err("no GPU".to_owned());
        }
        let info = EngineInfo {
            protocol: PROTOCOL,
            multilingual: world.plan.multilingual,
            backend: "script".to_owned(),
            lanes: machine.lanes,
            ..EngineInfo::default()
        };
        let purpose = format!("engine {} {} {:?}", self.wire.life, self.engine, world.now());
        let chance = Chance::of(world.plan.seed, &purpose);
        let (wire, number) = (self.wire.clone(), self.engine);
        Ok(Box::new(Engine { wire, number, info, chance, at_work: BTreeMap::new() }))
    }
}

struct Engine {
    wire: Arc<Wire>,
    number: usize,
    info: EngineInfo,
    chance: Chance,
    /// Windows in lanes by when they are done.
    at_work: BTreeMap<(Instant, u64), Vec<f32>>,
}

#[async_trait]
impl Link for Engine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    async fn send(&mut self, request: &Request, pcm: &[f32]) -> Result<(), String> {
        let takes = self.wire.machine().window.mul_f64(0.5 + f64::from(self.chance.number(0..1000)) / 1000.0);
        self.at_work.insert((Instant::now() + takes, request.id), pcm.to_vec());
        Ok(())
    }

    async fn receive(&mut self) -> Result<Response, String> {
        let Some((&(due, id), _)) = self.at_work.first_key_value() else { return pending().await };
        sleep_until(due).await;
        let Some(pcm) = self.at_work.remove(&(due, id)) else { return pending().await };
        let (kind, number, window) = script_of(&pcm);
        let temper = self.wire.machine().engines[self.number].temper(self.wire.world.now());
        let dies = kind == FATAL || temper != Temper::Well || kind == SPEECH && self.dies((number, window));
        match temper {
            Temper::Hanging => {
                self.at_work.insert((due, id), pcm);
                pending().await
            }
            Temper::Failing => {
                self.wire.note(format_args!("engine {} fails job{number} part{window}", self.number));
                Ok(Response::Failed { id, reason: "out of memory".to_owned() })
            }
            _ if dies => {
                self.wire.note(format_args!("engine {} dies on job{number} part{window}", self.number));
                self.wire.world.ledger.struck(&self.in_lanes((number, window)));
                Err("it ended".to_owned())
            }
            _ if kind == 0.0 => Ok(Response::Done { id, text: WindowText::default() }),
            _ => {
                self.wire.heard(number, window);
                Ok(Response::Done { id, text: said(number, window) })
            }
        }
    }

    async fn end(self: Box<Self>) -> String {
        "ended".to_owned()
    }

    async fn kill(self: Box<Self>) -> String {
        "killed".to_owned()
    }
}

impl Engine {
    /// By chance, which strikes no window twice: nobody could tell it from the window's fault.
    fn dies(&mut self, window: (u32, u32)) -> bool {
        let world = &self.wire.world;
        let in_lanes = self.in_lanes(window);
        world.now() < world.plan.calm_from
            && self.wire.machine().is_sound()
            && self.chance.share(world.plan.engine_deaths)
            && world.ledger.may_strike(&in_lanes)
    }

    /// This window, which is done, and those that are not.
    fn in_lanes(&self, window: (u32, u32)) -> Vec<(u32, u32)> {
        let others = self.at_work.values().map(|pcm| script_of(pcm)).map(|(_, number, window)| (number, window));
        others.chain([window]).collect()
    }
}

/// The kind of a window, and the numbers of job and window in it.
fn script_of(pcm: &[f32]) -> (f32, u32, u32) {
    match pcm {
        [kind @ (SPEECH | FATAL), number, window] => (*kind, *number as u32, *window as u32),
        // a probe
        _ => (0.0, u32::MAX, 0),
    }
}

fn said(number: u32, window: u32) -> WindowText {
    let pieces =
        words(number, window).split(' ').map(|word| Piece { text: format!(" {word}"), p: 0.9, said: None }).collect();
    WindowText {
        language: "en".to_owned(),
        language_probability: Some(0.99),
        no_speech_prob: 0.01,
        avg_logprob: -0.2,
        pieces,
        busy_ms: 100,
    }
}
