//! Tensors that stay: weights and caches.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::io;
use std::ptr;

use whisper_rs::whisper_rs_sys as sys;

use super::backend::MemoryKind;
use super::graph::{context, extent};
use super::tensor::{Kind, Tensor};

/// Tensors that are described one by one and then given their memory at once. Description and memory are never freed: the
/// engine process needs them until it ends, and so a tensor of a store can be read by any graph.
pub struct Store {
    context: *mut sys::ggml_context,
}

impl Store {
    /// Room for the descriptions of so many tensors.
    ///
    /// # Errors
    /// No memory.
    pub fn new(tensors: usize) -> io::Result<Self> {
        Ok(Self { context: context(tensors, 0).map_err(io::Error::other)?.as_ptr() })
    }

    /// Another tensor, innermost dimension first.
    pub fn tensor(&mut self, kind: Kind, dims: [usize; 4]) -> Tensor<'static> {
        let dims = dims.map(extent);
        // SAFETY: the context is alive, for ever; ggml ends the process where it has no room left
        Tensor::new(unsafe { sys::ggml_new_tensor(self.context, kind.0, 4, dims.as_ptr()) })
    }

    /// Gives all its tensors their memory, cleared; returns how many bytes.
    ///
    /// # Errors
    /// There is not so much.
    pub fn allocate(self, memory: MemoryKind, what: &str) -> io::Result<usize> {
        // SAFETY: the context holds descriptions without memory
        let buffer = unsafe { sys::ggml_backend_alloc_ctx_tensors_from_buft(self.context, memory.0.as_ptr()) };
        if ptr::eq(buffer, ptr::null()) {
            return Err(io::Error::other(format!("there is no memory for {what}")));
        }
        // SAFETY: the buffer was just made
        unsafe {
            sys::ggml_backend_buffer_clear(buffer, 0);
            Ok(sys::ggml_backend_buffer_get_size(buffer))
        }
    }
}

/// Writes bytes into a store's tensor, before any graph reads it.
///
/// # Errors
/// They do not fit.
pub fn fill(tensor: Tensor<'static>, bytes: &[u8], offset: usize) -> io::Result<()> {
    tensor.write(bytes, offset).map_err(io::Error::other)
}
