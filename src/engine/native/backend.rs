//! What computes graphs: the processor with so many threads, or a GPU.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::ffi::c_int;
use std::io;
use std::ptr::{self, NonNull};

use whisper_rs::whisper_rs_sys as sys;

use super::cublas;

/// One stream of computation. Several may read the same [`super::store::Store`] at a time.
#[derive(Debug)]
pub struct Backend {
    raw: NonNull<sys::ggml_backend>,
    gpu: Option<u8>,
}

// SAFETY: nothing in a backend belongs to a thread; all that uses it takes `&mut self`
unsafe impl Send for Backend {}

/// Where tensors can lie: a backend's kind of memory. Plain data that lives as long as the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryKind(pub(super) NonNull<sys::ggml_backend_buffer_type>);

// SAFETY: a description that ggml keeps for the whole run and never changes
unsafe impl Send for MemoryKind {}
// SAFETY: as above
unsafe impl Sync for MemoryKind {}

impl MemoryKind {
    /// Whether the program itself can read and write it.
    pub fn is_own(self) -> bool {
        // SAFETY: kinds live as long as the program; reads a description
        unsafe { sys::ggml_backend_buft_is_host(self.0.as_ptr()) }
    }
}

impl Backend {
    /// GPU `gpu`, or the processor with `threads` threads.
    ///
    /// # Errors
    /// There is no such GPU, or its driver refuses.
    pub fn new(gpu: Option<u8>, threads: u8) -> io::Result<Self> {
        let raw = match gpu {
            Some(index) => {
                cublas::load().map_err(io::Error::other)?;
                gpu_backend(index)
            }
            None => cpu_backend(threads),
        };
        let refused = || io::Error::other("failed to start a stream on the device (is there memory for it?)");
        Ok(Self { raw: NonNull::new(raw).ok_or_else(refused)?, gpu })
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        self.gpu.is_some()
    }

    /// Another stream on the same GPU; none on a processor.
    ///
    /// # Errors
    /// As [`Backend::new`].
    pub fn another(&self) -> io::Result<Option<Self>> {
        self.gpu.map(|index| Self::new(Some(index), 1)).transpose()
    }

    /// The memory that its graphs and weights lie in.
    pub fn memory(&self) -> MemoryKind {
        // SAFETY: the backend is alive; every backend has a default kind
        let kind = unsafe { sys::ggml_backend_get_default_buffer_type(self.raw.as_ptr()) };
        MemoryKind(NonNull::new(kind).unwrap_or_else(|| std::process::abort()))
    }

    pub(super) fn raw(&mut self) -> *mut sys::ggml_backend {
        self.raw.as_ptr()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // SAFETY: made once and freed once; what lies in its memory does not need it
        unsafe { sys::ggml_backend_free(self.raw.as_ptr()) }
    }
}

fn cpu_backend(threads: u8) -> sys::ggml_backend_t {
    // no threads abort
    let threads = c_int::from(threads.max(1));
    // SAFETY: takes nothing; null is looked for by the caller
    let backend = unsafe { sys::ggml_backend_cpu_init() };
    if backend.is_null() {
        return backend;
    }
    // SAFETY: the backend is alive; the pool of threads is never freed, like the backend that uses it until the process ends
    unsafe {
        sys::ggml_backend_cpu_set_n_threads(backend, threads);
        if threads > 1 {
            let mut params = sys::ggml_threadpool_params_default(threads);
            sys::ggml_backend_cpu_set_threadpool(backend, sys::ggml_threadpool_new(&mut params));
        }
    }
    backend
}

fn gpu_backend(index: u8) -> sys::ggml_backend_t {
    // SAFETY: takes nothing and returns a number
    let count = unsafe { sys::ggml_backend_dev_count() };
    let is_gpu = |kind| {
        kind == sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_GPU
            || kind == sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_IGPU
    };
    let device = (0..count)
        // SAFETY: the index is less than the count
        .map(|index| unsafe { sys::ggml_backend_dev_get(index) })
        // SAFETY: devices live as long as the program
        .filter(|device| is_gpu(unsafe { sys::ggml_backend_dev_type(*device) }))
        .nth(usize::from(index));
    // SAFETY: as above; no parameters are asked for by a null
    device.map_or(ptr::null_mut(), |device| unsafe { sys::ggml_backend_dev_init(device, ptr::null()) })
}
