//! Simulation: the workers as they are, in worlds that a seed decides, on a paused clock. ARCHITECTURE.md, "Simulation".

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a simulation fails by panicking")]

mod audio;
mod bus;
mod chance;
mod conformance;
mod engine;
mod jobs;
mod ledger;
mod life;
mod objects;
mod plan;
#[expect(dead_code, reason = "what only the unit tests ask")]
mod queue;
mod run;
mod scenarios;
mod seeds;
mod trace;
mod verdict;
mod weather;
mod wire;
mod world;
