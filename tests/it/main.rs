//! What talks to AWS, against a local stand-in. It needs `.venv`, which `make test` makes from `tests/requirements.txt`.

// the adapters alone
mod adapters;
mod s3;
// the real binary, end to end

mod dlq;
mod e2e;
mod languages;
mod news;
mod no_speech;
mod speakers;
// the real binary, when things go wrong: damaged files and messages, AWS or the network failing, the worker stopped or
// killed
mod bad_inputs;
mod crash_matrix;
mod engine;
mod fairness;
mod faults;
mod group;
mod interruptions;
mod many_jobs;
mod media;
mod network;
mod poison;
mod redaction;
mod resume;
mod status;
mod storm;
mod throughput;
mod words;
// what the others stand on
#[path = "../sim/conformance.rs"]
mod conformance;
#[path = "../../src/spot/fake.rs"]
mod imds;
mod rig;
mod running;
mod server;
mod wire;
