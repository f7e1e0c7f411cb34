//! All that happened in a world, line by line, and its fingerprint.

use std::fmt;
use std::sync::Mutex;

use tokio::time::Instant;

use crate::chance::fnv;

/// Lines kept for the report of a failure; the fingerprint is of all.
const KEPT: usize = 4_000;

pub struct Trace {
    begun: Instant,
    lines: Mutex<(u64, Vec<String>)>,
    /// Lines are printed as they come.
    loud: bool,
}

impl Trace {
    pub fn new(loud: bool) -> Self {
        Self { begun: Instant::now(), lines: Mutex::default(), loud }
    }

    pub fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        let ms = self.begun.elapsed().as_millis();
        let line = format!("{:>6}.{:03} {who:<5} {what}", ms / 1000, ms % 1000);
        if self.loud {
            println!("{line}");
        }
        let mut lines = self.lines.lock().unwrap();
        lines.0 = fnv(line.as_bytes(), lines.0);
        if lines.1.len() >= 2 * KEPT {
            lines.1.drain(..KEPT);
        }
        lines.1.push(line);
    }

    pub fn fingerprint(&self) -> u64 {
        self.lines.lock().unwrap().0
    }

    /// The last lines.
    pub fn tail(&self, most: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.1[lines.1.len().saturating_sub(most)..].to_vec()
    }
}
