//! What talks to AWS, against a local stand-in. It needs `.venv/bin/ministack`: see `tests/requirements.txt`.

// the adapters alone
mod adapters;
// the real binary, end to end
mod e2e;
// what the others stand on
mod rig;
mod server;
