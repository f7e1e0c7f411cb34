//! A transcription worker for EC2 GPU spot instances: SQS messages in, Whisper, transcripts in S3,
//! "Transcription Completed" on EventBridge. ARCHITECTURE.md has the bird's eye view and the invariants.

// the simulation's parts name the crate from outside, and serve the unit tests as well
#[cfg(test)]
extern crate self as transcription_worker;

pub mod app;
pub mod audio;
pub mod backoff;
pub mod board;
pub mod bounded;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counts;
pub mod drain;
pub mod engine;
pub mod exit;
pub mod fault;
pub mod fetch;
pub mod gpus;
pub mod group;
pub mod handler;
pub mod health;
pub mod heap;
pub mod http;
pub mod job;
pub mod lease;
pub mod letters;
pub mod metrics;
pub mod model;
pub mod objects;
pub mod pipeline;
pub mod power;
pub mod publish;
pub mod queue;
pub mod schema;
pub mod script;
pub mod settle;
pub mod speakers;
pub mod spot;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod transcribe;
pub mod transcript;
pub mod watchdog;
pub mod wording;
pub mod worker;
