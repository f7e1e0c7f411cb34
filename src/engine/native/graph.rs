//! A computation, described step by step and then computed. Tensors are named by what the mathematics says: innermost
//! dimension first, a matrix `[n, m]` has m rows of n numbers.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use whisper_rs::whisper_rs_sys as sys;

use super::tensor::{Kind, Tensor};
use super::{hearing, octets, singles, tiles};

/// What ggml calls for a step of ours: target, this thread's number, of how many, nothing.
type Function = unsafe extern "C" fn(*mut sys::ggml_tensor, c_int, c_int, *mut c_void);

/// The steps of a computation.
#[derive(Debug)]
pub struct Graph {
    context: NonNull<sys::ggml_context>,
    pub(super) raw: *mut sys::ggml_cgraph,
}

/// A context for descriptions alone.
pub(super) fn context(tensors: usize, graph_nodes: usize) -> Result<NonNull<sys::ggml_context>, String> {
    // SAFETY: both read constants, the second adds to them
    let (tensor, graph) = unsafe { (sys::ggml_tensor_overhead(), sys::ggml_graph_overhead_custom(graph_nodes, false)) };
    let bytes = (tensors + 1) * tensor + if graph_nodes > 0 { graph } else { 0 };
    let params = sys::ggml_init_params { mem_size: bytes, mem_buffer: ptr::null_mut(), no_alloc: true };
    // SAFETY: a plain value; the memory is ggml's own
    NonNull::new(unsafe { sys::ggml_init(params) }).ok_or_else(|| "there is no memory for a graph".to_owned())
}

/// A length as ggml has it.
pub(super) fn extent(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn number(length: usize) -> c_int {
    c_int::try_from(length).unwrap_or(c_int::MAX)
}

impl Graph {
    /// An empty computation of at most so many steps, views included.
    ///
    /// # Errors
    /// No memory for its description.
    pub fn new(steps: usize) -> Result<Self, String> {
        let context = context(steps, steps)?;
        // SAFETY: the context is alive and has room for the graph
        let raw = unsafe { sys::ggml_new_graph_custom(context.as_ptr(), steps, false) };
        Ok(Self { context, raw })
    }

    fn own(&self, raw: *mut sys::ggml_tensor) -> Tensor<'_> {
        Tensor::new(raw)
    }

    fn ctx(&self) -> *mut sys::ggml_context {
        self.context.as_ptr()
    }

    /// What is set before the computation.
    pub fn input(&self, kind: Kind, dims: [usize; 4]) -> Tensor<'_> {
        let dims = dims.map(extent);
        // SAFETY: the context is alive; the flag is set on a fresh tensor
        unsafe {
            let tensor = sys::ggml_new_tensor(self.ctx(), kind.0, 4, dims.as_ptr());
            sys::ggml_set_input(tensor);
            self.own(tensor)
        }
    }

    /// Computes this, and keeps it until the computation's end.
    pub fn output<'g>(&'g self, result: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: all of the graph's tensors are alive
        unsafe { sys::ggml_set_output(result.raw.as_ptr()) }
        self.compute(result);
        result
    }

    /// Computes this before what is named later: a cache is written before it is read.
    pub fn compute<'g>(&'g self, step: Tensor<'g>) {
        // SAFETY: graph and tensor are alive
        unsafe { sys::ggml_build_forward_expand(self.raw, step.raw.as_ptr()) }
    }

    /// Each row of `rows` times each row of `weights`: `[n, m] x [n, k]` is `[m, k]`.
    pub fn multiply<'g>(&'g self, weights: Tensor<'g>, rows: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: both tensors are alive; shapes that do not fit end the process
        self.own(unsafe { sys::ggml_mul_mat(self.ctx(), weights.raw.as_ptr(), rows.raw.as_ptr()) })
    }

    /// As [`Graph::multiply`], with weights that [`tiles::lay_out`] has laid out; rows of single precision, on a processor.
    /// What does not fit ends the process, as in ggml's own.
    pub fn multiply_tiled<'g>(&'g self, weights: Tensor<'g>, rows: Tensor<'g>) -> Tensor<'g> {
        let are_rows = rows.kind() == Kind::F32 && rows.step(0) == size_of::<f32>() && rows.dim(2) * rows.dim(3) == 1;
        if !are_rows || rows.dim(0) != weights.dim(0) || !tiles::fit(weights.kind(), weights.dim(0), weights.dim(1)) {
            tracing::error!("bug: a product of {weights:?} and {rows:?} on tiles");
            std::process::abort();
        }
        self.custom(tiles::multiply, [weights, rows], [weights.dim(1), rows.dim(1), 1, 1])
    }

    /// As [`Graph::multiply`], with the first `outputs` of weights that [`octets::lay_out`] has laid out; rows of single
    /// precision, on a processor. What does not fit ends the process, as in ggml's own.
    pub fn multiply_octets<'g>(&'g self, weights: Tensor<'g>, rows: Tensor<'g>, outputs: usize) -> Tensor<'g> {
        let are_rows = rows.kind() == Kind::F32 && rows.step(0) == size_of::<f32>() && rows.dim(2) * rows.dim(3) == 1;
        let fit = octets::fit(weights.kind(), weights.dim(0)) && rows.dim(0) == weights.dim(0);
        if !are_rows || !fit || outputs > weights.dim(1) {
            tracing::error!("bug: a product of {weights:?} and {rows:?} in bytes");
            std::process::abort();
        }
        self.custom(octets::multiply, [weights, rows], [outputs, rows.dim(1), 1, 1])
    }

    /// As [`Graph::multiply`] for matrices of bf16 with one row each: `[n, m, heads, rows] x [n, 1, heads, rows]`; on a processor.
    pub fn multiply_singles<'g>(&'g self, matrices: Tensor<'g>, rows: Tensor<'g>) -> Tensor<'g> {
        let are_rows = rows.kind() == Kind::F32 && rows.step(0) == size_of::<f32>() && rows.dim(1) == 1;
        let fit = [0, 2, 3].into_iter().all(|index| matrices.dim(index) == rows.dim(index));
        if !are_rows || !fit || matrices.kind() != Kind::BF16 || matrices.step(0) != size_of::<u16>() {
            tracing::error!("bug: products of {matrices:?} and {rows:?} one by one");
            std::process::abort();
        }
        self.custom(singles::multiply, [matrices, rows], [matrices.dim(1), 1, matrices.dim(2), matrices.dim(3)])
    }

    /// What each position of a window attends to: from queries, keys and values `[3 x d x heads, t]` to `[d x heads, t]`; where
    /// [`hearing::are_there`].
    pub fn attend_tiled<'g>(&'g self, parts: Tensor<'g>, heads: usize) -> Tensor<'g> {
        let (depth, positions) = (parts.dim(0) / 3 / heads, parts.dim(1));
        let are_rows = parts.kind() == Kind::F32 && parts.bytes() == size_of::<f32>() * parts.dim(0) * positions;
        if !are_rows || parts.dim(0) != 3 * depth * heads || !hearing::fit(depth) {
            tracing::error!("bug: attention of {heads} heads to {parts:?} on tiles");
            std::process::abort();
        }
        let attended = self.custom(hearing::attend, [parts], [depth, heads, positions, 1]);
        self.reshape(attended, [depth * heads, positions, 1, 1])
    }

    /// What a function of ours computes from these, in single precision.
    fn custom<'g, const N: usize>(
        &'g self,
        function: Function,
        sources: [Tensor<'g>; N],
        dims: [usize; 4],
    ) -> Tensor<'g> {
        let mut sources = sources.map(|source| source.raw.as_ptr());
        let ([d0, d1, d2, d3], kind) = (dims.map(extent), Kind::F32.0);
        // SAFETY: the tensors are alive; ggml copies the list, and calls the function with what it describes, in all threads
        self.own(unsafe {
            let (list, count, all_threads) = (sources.as_mut_ptr(), number(N), -1);
            sys::ggml_custom_4d(
                self.ctx(),
                kind,
                d0,
                d1,
                d2,
                d3,
                list,
                count,
                Some(function),
                all_threads,
                ptr::null_mut(),
            )
        })
    }

    /// The sum; `b` is repeated where it is smaller.
    pub fn add<'g>(&'g self, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_add(self.ctx(), a.raw.as_ptr(), b.raw.as_ptr()) })
    }

    /// The product number by number; `b` is repeated where it is smaller.
    pub fn times<'g>(&'g self, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_mul(self.ctx(), a.raw.as_ptr(), b.raw.as_ptr()) })
    }

    /// Each row less its mean, divided by its deviation.
    pub fn normalise<'g>(&'g self, a: Tensor<'g>) -> Tensor<'g> {
        /// Of OpenAI's model.
        const EPSILON: f32 = 1e-5;
        // SAFETY: as above
        self.own(unsafe { sys::ggml_norm(self.ctx(), a.raw.as_ptr(), EPSILON) })
    }

    /// The smooth threshold.
    pub fn gelu<'g>(&'g self, a: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_gelu_inplace(self.ctx(), a.raw.as_ptr()) })
    }

    /// Each row, times `scale` and plus its row of `mask`, as probabilities.
    pub fn soft_max<'g>(&'g self, a: Tensor<'g>, mask: Option<Tensor<'g>>, scale: f32) -> Tensor<'g> {
        let mask = mask.map_or(ptr::null_mut(), |mask| mask.raw.as_ptr());
        // SAFETY: as above; no mask is a null
        self.own(unsafe { sys::ggml_soft_max_ext_inplace(self.ctx(), a.raw.as_ptr(), mask, scale, 0.0) })
    }

    /// Attention without its matrix of probabilities: queries `[d, t, heads, rows]`, keys and values `[d, n, heads, rows]`,
    /// a half-precision mask `[n, t, 1, rows]`; the result is `[d, heads, t, rows]`.
    pub fn attend<'g>(
        &'g self,
        queries: Tensor<'g>,
        keys: Tensor<'g>,
        values: Tensor<'g>,
        mask: Option<Tensor<'g>>,
        scale: f32,
    ) -> Tensor<'g> {
        let mask = mask.map_or(ptr::null_mut(), |mask| mask.raw.as_ptr());
        let (q, k, v) = (queries.raw.as_ptr(), keys.raw.as_ptr(), values.raw.as_ptr());
        // SAFETY: as above; no mask is a null
        unsafe {
            let result = sys::ggml_flash_attn_ext(self.ctx(), q, k, v, mask, scale, 0.0, 0.0);
            sys::ggml_flash_attn_ext_set_prec(result, sys::ggml_prec_GGML_PREC_F32);
            self.own(result)
        }
    }

    /// The same numbers in other rows, where they lie one after the other.
    pub fn reshape<'g>(&'g self, a: Tensor<'g>, dims: [usize; 4]) -> Tensor<'g> {
        let [a0, a1, a2, a3] = dims.map(extent);
        // SAFETY: as above
        self.own(unsafe { sys::ggml_reshape_4d(self.ctx(), a.raw.as_ptr(), a0, a1, a2, a3) })
    }

    /// A part: dimensions, the bytes from one row, matrix and block to the next, and where it begins.
    pub fn view<'g>(&'g self, a: Tensor<'g>, dims: [usize; 4], steps: [usize; 3], offset: usize) -> Tensor<'g> {
        let ([a0, a1, a2, a3], [s1, s2, s3]) = (dims.map(extent), steps);
        // SAFETY: as above; a part beyond its whole ends the process
        self.own(unsafe { sys::ggml_view_4d(self.ctx(), a.raw.as_ptr(), a0, a1, a2, a3, s1, s2, s3, offset) })
    }

    /// The same numbers with their dimensions in another order: dimension i becomes `order[i]`.
    pub fn permute<'g>(&'g self, a: Tensor<'g>, order: [usize; 4]) -> Tensor<'g> {
        let [a0, a1, a2, a3] = order.map(number);
        // SAFETY: as above
        self.own(unsafe { sys::ggml_permute(self.ctx(), a.raw.as_ptr(), a0, a1, a2, a3) })
    }

    /// The same numbers, one after the other.
    pub fn contiguous<'g>(&'g self, a: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_cont(self.ctx(), a.raw.as_ptr()) })
    }

    /// The same numbers, one after the other, stored as `kind`.
    pub fn cast<'g>(&'g self, a: Tensor<'g>, kind: Kind) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_cast(self.ctx(), a.raw.as_ptr(), kind.0) })
    }

    /// `a` written into `place`, stored as that is.
    pub fn copy<'g>(&'g self, a: Tensor<'g>, place: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_cpy(self.ctx(), a.raw.as_ptr(), place.raw.as_ptr()) })
    }

    /// Rows written into the table's rows of the given numbers ([`Kind::I64`]), stored as they are there.
    pub fn set_rows<'g>(&'g self, table: Tensor<'g>, rows: Tensor<'g>, numbers: Tensor<'g>) -> Tensor<'g> {
        let (table, rows, numbers) = (table.raw.as_ptr(), rows.raw.as_ptr(), numbers.raw.as_ptr());
        // SAFETY: as above; a number beyond the table ends the process
        self.own(unsafe { sys::ggml_set_rows(self.ctx(), table, rows, numbers) })
    }

    /// The table's rows of the given numbers ([`Kind::I32`]), as single precision.
    pub fn rows<'g>(&'g self, table: Tensor<'g>, numbers: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_get_rows(self.ctx(), table.raw.as_ptr(), numbers.raw.as_ptr()) })
    }

    /// Rows of zeros before and after those of a matrix.
    pub fn pad_rows_around<'g>(&'g self, a: Tensor<'g>, before: usize, after: usize) -> Tensor<'g> {
        let (before, after) = (number(before), number(after));
        // SAFETY: as above
        self.own(unsafe { sys::ggml_pad_ext(self.ctx(), a.raw.as_ptr(), 0, 0, before, after, 0, 0, 0, 0) })
    }

    /// Rows of zeros after those of each matrix, up to a multiple of `to`.
    pub fn pad_rows<'g>(&'g self, a: Tensor<'g>, to: usize) -> Tensor<'g> {
        let rows = number(a.dim(1).next_multiple_of(to) - a.dim(1));
        // SAFETY: as above
        self.own(unsafe { sys::ggml_pad_ext(self.ctx(), a.raw.as_ptr(), 0, 0, 0, rows, 0, 0, 0, 0) })
    }

    /// The place of the greatest number in each row.
    pub fn greatest<'g>(&'g self, a: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: as above
        self.own(unsafe { sys::ggml_argmax(self.ctx(), a.raw.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made once and freed once; tensors that point into it borrow it
        unsafe { sys::ggml_free(self.context.as_ptr()) }
    }
}
