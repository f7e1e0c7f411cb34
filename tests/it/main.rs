//! What talks to AWS, against a local stand-in. It needs `.venv`, which `make test` makes from `tests/requirements.txt`.

// the adapters alone
mod adapters;
mod s3;
// the real binary, end to end
mod dlq;
mod e2e;
mod poison;
// damaged files and messages
mod bad_inputs;
// what the others stand on
mod rig;
mod server;
