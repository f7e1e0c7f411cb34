//! Tensors that stay: weights and caches.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::ffi::{c_int, c_void};
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
            if sys::ggml_backend_buffer_is_host(buffer) {
                in_large_pages(sys::ggml_backend_buffer_get_base(buffer), sys::ggml_backend_buffer_get_size(buffer));
            }
            sys::ggml_backend_buffer_clear(buffer, 0);
            Ok(sys::ggml_backend_buffer_get_size(buffer))
        }
    }
}

/// Asks for large pages where memory is read from its start to its end again and again. A wish: without them it is only slower.
fn in_large_pages(start: *mut c_void, bytes: usize) {
    const PAGE: usize = 4_096;
    const MADV_HUGEPAGE: c_int = 14;
    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }
    let skipped = start.cast::<u8>().align_offset(PAGE);
    // SAFETY: pages that lie in the buffer as a whole; what they hold stays as it is
    unsafe { madvise(start.wrapping_byte_add(skipped), bytes.saturating_sub(skipped) / PAGE * PAGE, MADV_HUGEPAGE) };
}

/// Writes bytes into a store's tensor, before any graph reads it.
///
/// # Errors
/// They do not fit.
pub fn fill(tensor: Tensor<'static>, bytes: &[u8], offset: usize) -> io::Result<()> {
    tensor.write(bytes, offset).map_err(io::Error::other)
}
