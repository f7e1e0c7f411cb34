//! An engine in memory, on tokio's clock: what each of its processes does with each window is a function.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};

use crate::transcribe::link::{Launch, Link};
use crate::transcribe::wire::{EngineInfo, PROTOCOL, Request, Response, WindowText};

/// What a start takes.
pub const LOADING: Duration = Duration::from_secs(2);
/// What a window takes.
pub const WINDOW: Duration = Duration::from_millis(100);
/// Windows at a time.
pub const LANES: usize = 4;

/// What an engine does with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Answers,
    Refuses,
    Dies,
    /// As the kernel kills it for memory.
    IsKilled,
    Hangs,
}

/// What a process of it does with a window: the first process is number 0.
pub type Acts = fn(process: usize, request: &Request) -> Act;

/// The engines of one supervisor.
pub struct FakeEngine {
    /// Whether this process starts.
    pub starts: fn(process: usize) -> bool,
    /// What it does.
    pub acts: Acts,
    /// Whether it can be killed.
    pub mortal: bool,
    /// When each process was started.
    pub started: Arc<Mutex<Vec<Instant>>>,
}

impl FakeEngine {
    pub fn new(acts: Acts) -> Self {
        Self { starts: |_| true, acts, mortal: true, started: Arc::default() }
    }
}

impl std::fmt::Debug for FakeEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeEngine")
    }
}

#[async_trait]
impl Launch for FakeEngine {
    async fn launch(&self) -> Result<Box<dyn Link>, String> {
        let process = {
            let mut started = self.started.lock().map_err(|e| e.to_string())?;
            started.push(Instant::now());
            started.len() - 1
        };
        sleep(LOADING).await;
        if !(self.starts)(process) {
            return Err("it does not start".to_owned());
        }
        let info = EngineInfo { protocol: PROTOCOL, lanes: LANES, ..EngineInfo::default() };
        let (acts, mortal) = (self.acts, self.mortal);
        Ok(Box::new(FakeLink { process, info, acts, mortal, killed: false, due: VecDeque::new() }))
    }
}

struct FakeLink {
    process: usize,
    info: EngineInfo,
    acts: Acts,
    mortal: bool,
    killed: bool,
    /// `Err` is its death.
    due: VecDeque<(Instant, Result<Response, String>)>,
}

#[async_trait]
impl Link for FakeLink {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    async fn send(&mut self, request: &Request, _: &[f32]) -> Result<(), String> {
        let id = request.id;
        let answer = match (self.acts)(self.process, request) {
            Act::Answers => Ok(Response::Done { id, text: WindowText::default() }),
            Act::Refuses => Ok(Response::Failed { id, reason: "code -6".to_owned() }),
            Act::Dies => Err("it ended".to_owned()),
            Act::IsKilled => {
                self.killed = true;
                Err("it ended (signal: 9 (SIGKILL))".to_owned())
            }
            Act::Hangs => return Ok(()),
        };
        self.due.push_back((Instant::now() + WINDOW, answer));
        Ok(())
    }

    async fn receive(&mut self) -> Result<Response, String> {
        let Some((at, _)) = self.due.front() else { return pending().await };
        sleep_until(*at).await;
        match self.due.pop_front() {
            Some((_, answer)) => answer,
            None => Err("it ended".to_owned()),
        }
    }

    fn was_killed(&mut self) -> bool {
        self.killed
    }

    async fn end(self: Box<Self>) -> String {
        "exit status: 0".to_owned()
    }

    async fn kill(self: Box<Self>) -> String {
        if !self.mortal {
            return pending().await;
        }
        "signal: 9 (SIGKILL)".to_owned()
    }
}
