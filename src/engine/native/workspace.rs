//! A computation where it has memory: its inputs set, computed, its outputs read.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::borrow::Cow;

use whisper_rs::whisper_rs_sys as sys;

use super::backend::{Backend, MemoryKind};
use super::graph::Graph;
use super::tensor::{Number, Tensor, bytes_of};

/// Memory for the intermediate results of one graph at a time; grows to the largest.
#[derive(Debug)]
pub struct Workspace {
    raw: sys::ggml_gallocr_t,
}

// SAFETY: nothing in it belongs to a thread; all that uses it takes `&mut self`
unsafe impl Send for Workspace {}

impl Workspace {
    /// One that has no memory yet.
    pub fn new(memory: MemoryKind) -> Self {
        // SAFETY: the kind of memory lives as long as the program
        Self { raw: unsafe { sys::ggml_gallocr_new(memory.0.as_ptr()) } }
    }

    /// Gives the graph's tensors their memory.
    ///
    /// # Errors
    /// There is not so much.
    pub fn place<'w>(&'w mut self, graph: &'w Graph) -> Result<Placed<'w>, String> {
        // SAFETY: both are alive
        if unsafe { sys::ggml_gallocr_alloc_graph(self.raw, graph.raw) } {
            return Ok(Placed { graph, _memory: self });
        }
        Err("there is no memory for a graph's intermediate results".to_owned())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // SAFETY: made once and freed once; graphs that lie in it borrow it
        unsafe { sys::ggml_gallocr_free(self.raw) }
    }
}

/// A graph whose tensors have memory.
pub struct Placed<'w> {
    graph: &'w Graph,
    _memory: &'w mut Workspace,
}

impl Placed<'_> {
    /// Fills an input.
    ///
    /// # Errors
    /// The numbers are not of its kind, or not as many.
    pub fn set<N: Number>(&mut self, input: Tensor<'_>, numbers: &[N]) -> Result<(), String> {
        let bytes = bytes_of(numbers);
        if input.kind() != N::KIND || input.bytes() != bytes.len() {
            return Err(format!("bug: {} bytes for an input of {}", bytes.len(), input.bytes()));
        }
        input.write(bytes, 0)
    }

    /// Fills an input with bytes of its kind.
    ///
    /// # Errors
    /// They are not as many.
    pub fn fill(&mut self, input: Tensor<'_>, bytes: &[u8]) -> Result<(), String> {
        if input.bytes() != bytes.len() {
            return Err(format!("bug: {} bytes for an input of {}", bytes.len(), input.bytes()));
        }
        input.write(bytes, 0)
    }

    /// Computes.
    ///
    /// # Errors
    /// A sentence with ggml's word for it. (What it takes for a bug ends the process.)
    pub fn compute(&mut self, backend: &mut Backend) -> Result<(), String> {
        // SAFETY: both are alive, and the graph's tensors have their memory
        let status = unsafe { sys::ggml_backend_graph_compute(backend.raw(), self.graph.raw) };
        if status == sys::ggml_status_GGML_STATUS_SUCCESS {
            return Ok(());
        }
        Err(format!("ggml failed to compute a graph: status {status}"))
    }

    /// Numbers of an output from number `first` on.
    ///
    /// # Errors
    /// There are not so many.
    pub fn read<'t>(&'t self, output: &'t Tensor<'_>, first: usize, count: usize) -> Result<Cow<'t, [f32]>, String> {
        output.read(first, count)
    }

    /// The first indices of an output.
    ///
    /// # Errors
    /// There are not so many.
    pub fn read_indices(&self, output: Tensor<'_>, count: usize) -> Result<Vec<i32>, String> {
        output.read_i32(count)
    }
}
