//! What the outside may watch of the engines: for progress, metrics and benchmarks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of one engine.
#[derive(Debug, Default)]
pub struct EngineStats {
    /// Windows of jobs that were answered.
    pub windows: AtomicU64,
    /// Engine processes that died, or were killed for hanging or refusing.
    pub crashes: AtomicU64,
    /// Windows in lanes now.
    pub busy: AtomicU64,
    /// Milliseconds that lanes were at work.
    pub busy_ms: AtomicU64,
    /// Process id of the engine that became ready last; 0 where there is no process.
    pub pid: AtomicU64,
    /// Windows at a time; 0 before the first start and while the engine is lost.
    pub lanes: AtomicU64,
}

/// Of all engines. Clones are the same.
#[derive(Debug, Clone)]
pub struct Stats {
    engines: Arc<[Arc<EngineStats>]>,
}

impl Stats {
    /// Of so many engines that did nothing yet.
    pub fn new(engines: usize) -> Self {
        Self { engines: (0..engines).map(|_| Arc::default()).collect() }
    }

    /// Each engine's own.
    pub fn engines(&self) -> &[Arc<EngineStats>] {
        &self.engines
    }

    /// Windows of jobs that were answered.
    pub fn windows(&self) -> u64 {
        self.sum(|engine| &engine.windows)
    }

    /// Engine processes that died, or were killed for hanging or refusing.
    pub fn crashes(&self) -> u64 {
        self.sum(|engine| &engine.crashes)
    }

    /// Windows in lanes now.
    pub fn busy(&self) -> u64 {
        self.sum(|engine| &engine.busy)
    }

    /// Milliseconds that lanes were at work.
    pub fn busy_ms(&self) -> u64 {
        self.sum(|engine| &engine.busy_ms)
    }

    /// Windows at a time, of the engines that are not lost.
    pub fn lanes(&self) -> u64 {
        self.sum(|engine| &engine.lanes)
    }

    fn sum(&self, of: impl Fn(&EngineStats) -> &AtomicU64) -> u64 {
        self.engines.iter().map(|engine| of(engine).load(Ordering::Relaxed)).sum()
    }
}
