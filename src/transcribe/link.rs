//! What an engine is to its supervisor: something that is launched, given windows, listened to, and ended. In production a
//! child process (`transcribe::child`).

use std::fmt;

use async_trait::async_trait;

use super::wire::{EngineInfo, Request, Response};

/// Starts engines of one kind.
#[async_trait]
pub trait Launch: fmt::Debug + Send + Sync {
    /// Starts an engine and waits until it is ready. Dropping the future ends what was started.
    ///
    /// # Errors
    /// A sentence: why there is no engine.
    async fn launch(&self) -> Result<Box<dyn Link>, String>;
}

/// An engine that is ready. Dropping it ends the engine.
#[async_trait]
pub trait Link: Send {
    /// What it said of itself.
    fn info(&self) -> &EngineInfo;

    /// Its process id, for log lines and statistics; `None` where there is no process, or no longer.
    fn pid(&self) -> Option<u32>;

    /// Sends one window. After this was dropped while it waited the engine can only be killed.
    ///
    /// # Errors
    /// The engine has gone or does not read.
    async fn send(&mut self, request: &Request, pcm: &[f32]) -> Result<(), String>;

    /// The next answer. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The engine has ended, or answers garbage: it is to be killed.
    async fn receive(&mut self) -> Result<Response, String>;

    /// Whether something else has killed it: the kernel for memory, or a person. Asked before [`Link::kill`].
    fn was_killed(&mut self) -> bool {
        false
    }

    /// Asks the engine to end, and kills it where it does not. Returns how it ended.
    async fn end(self: Box<Self>) -> String;

    /// Kills the engine. Returns how it ended: by a signal of its own making if it was dead already. May take for ever
    /// where the kernel cannot end the process.
    async fn kill(self: Box<Self>) -> String;
}
