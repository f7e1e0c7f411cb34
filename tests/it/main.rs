//! What talks to AWS, against a local stand-in. It needs `.venv`, which `make test` makes from `tests/requirements.txt`.

// the adapters alone
mod adapters;
mod s3;
// the real binary, end to end
mod e2e;
mod resume;
mod engine;
mod faults;
mod interruptions;
// what the others stand on
#[path = "../../src/spot/fake.rs"]
mod imds;
mod rig;
mod running;
mod server;
