//! What talks to AWS, against a local stand-in. It needs `.venv/bin/ministack`: see `tests/requirements.txt`.

mod adapters;
mod s3;
mod server;
