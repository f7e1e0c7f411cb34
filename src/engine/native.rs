//! The calls of ggml's C interface that the engine makes, behind types that keep its rules: tensors that live as long as
//! what they belong to, graphs that are computed where they have memory, streams that one thread uses at a time.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::ffi::c_int;

pub mod backend;
pub mod cublas;
pub mod devices;
pub mod graph;
pub mod hearing;
pub mod logs;
pub mod octets;
#[cfg(test)]
pub mod oracle;
#[cfg(test)]
mod products;
pub mod singles;
pub mod store;
pub mod tensor;
pub mod tiles;
pub mod workspace;

/// Ends this process at once. `exit` would run the destructors of C++ and of the GPU's driver, which may hang or crash under
/// threads that compute.
pub fn exit(status: c_int) -> ! {
    unsafe extern "C" {
        safe fn _exit(status: c_int) -> !;
    }
    _exit(status)
}
