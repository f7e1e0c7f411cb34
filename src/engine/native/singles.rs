//! Products of many matrices with one row each, as attention of single tokens to what their windows have heard: each matrix
//! is read once from its start to its end, which is what costs. (ggml goes through sixteen of them at a time, some rows here and
//! some rows there, and waits for memory.) In bf16, by the processor's own products of it (AVX512_BF16).
#![expect(unsafe_code, reason = "vector instructions and ggml's memory; each block says why it is sound")]

use std::arch::x86_64::{
    __m512bh, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_si512,
    _mm512_maskz_loadu_epi16, _mm512_reduce_add_ps, _mm512_setzero_ps,
};
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::mem::transmute;
use std::slice;

use half::bf16;
use whisper_rs::whisper_rs_sys as sys;

/// Numbers that are multiplied at once.
const VECTOR: usize = 32;

/// Bytes that are asked for before they are needed: the processor itself looks no further than a page.
const AHEAD: usize = 2_048;

/// Whether this processor multiplies bf16.
pub fn are_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

thread_local! {
    /// A row as bf16, kept from product to product.
    static ROW: RefCell<Vec<bf16>> = const { RefCell::new(Vec::new()) };
}

/// What ggml calls to compute the products: `target` of `[m, 1, heads, rows]` from matrices `[n, m, heads, rows]` of bf16 and
/// `[n, 1, heads, rows]` of single precision.
///
/// # Safety
/// ggml's: the tensors are those that [`super::graph::Graph::multiply_singles`] has looked at, with their memory.
pub(super) unsafe extern "C" fn multiply(target: *mut sys::ggml_tensor, part: c_int, parts: c_int, _: *mut c_void) {
    // SAFETY: the caller's promise
    let (target, matrices, rows) = unsafe { (&*target, &*(*target).src[0], &*(*target).src[1]) };
    let length = |length: i64| usize::try_from(length).unwrap_or_default();
    let (inputs, outputs, heads) = (length(matrices.ne[0]), length(matrices.ne[1]), length(matrices.ne[2]));
    let all = outputs * heads * length(matrices.ne[3]);
    let (part, parts) = (part.unsigned_abs() as usize, parts.unsigned_abs().max(1) as usize);
    let (mut next, end) = (all * part / parts, all * (part + 1) / parts);
    ROW.with_borrow_mut(|row| {
        while next < end {
            let (index, first) = (next / outputs, next % outputs);
            let (head, window) = (index % heads, index / heads);
            let some = (outputs - first).min(end - next);
            // SAFETY: the row is one of `rows`, the outputs are some of its matrix, and the target has room for them
            unsafe {
                let start = rows.data.cast::<u8>().add(head * rows.nb[2] + window * rows.nb[3]).cast::<f32>();
                row.clear();
                row.extend(slice::from_raw_parts(start, inputs).iter().map(|number| bf16::from_f32(*number)));
                let matrix = matrices.data.cast::<u8>().add(head * matrices.nb[2] + window * matrices.nb[3]);
                let matrix = matrix.add(first * matrices.nb[1]).cast_const();
                let sums = slice::from_raw_parts_mut(target.data.cast::<f32>().add(next), some);
                multiply_one(matrix, matrices.nb[1], row, sums);
            }
            next += some;
        }
    });
}

/// # Safety
/// [`are_there`]; at `matrix` is a row of bf16, as many numbers as `row` has, for each of the sums, `step` bytes one from another.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn multiply_one(matrix: *const u8, step: usize, row: &[bf16], sums: &mut [f32]) {
    let (whole, rest) = (row.len() / (2 * VECTOR) * 2 * VECTOR, row.len() % (2 * VECTOR));
    let masks = [rest.min(VECTOR), rest.saturating_sub(VECTOR)].map(|count| ((1_u64 << count) - 1) as u32);
    let row = row.as_ptr().cast::<i16>();
    for (output, sum) in sums.iter_mut().enumerate() {
        let mut products = [_mm512_setzero_ps(); 2];
        // SAFETY: the caller's promise: each load is of one of the matrix's rows, or of `row`, masked where they end; and these
        // vectors are the same sixty-four bytes by two names
        unsafe {
            let numbers = matrix.add(output * step).cast::<i16>();
            let pair = |a: __m512i, b: __m512i| (transmute::<__m512i, __m512bh>(a), transmute::<__m512i, __m512bh>(b));
            for at in (0..whole).step_by(2 * VECTOR) {
                let ahead = numbers.add(at).cast::<i8>().wrapping_add(AHEAD);
                _mm_prefetch::<_MM_HINT_T0>(ahead);
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64));
                for (half, products) in products.iter_mut().enumerate() {
                    let at = at + half * VECTOR;
                    let (a, b) =
                        pair(_mm512_loadu_si512(numbers.add(at).cast()), _mm512_loadu_si512(row.add(at).cast()));
                    *products = _mm512_dpbf16_ps(*products, a, b);
                }
            }
            for (half, products) in products.iter_mut().enumerate().take(rest.div_ceil(VECTOR)) {
                let at = whole + half * VECTOR;
                let (a, b) = pair(
                    _mm512_maskz_loadu_epi16(masks[half], numbers.add(at)),
                    _mm512_maskz_loadu_epi16(masks[half], row.add(at)),
                );
                *products = _mm512_dpbf16_ps(*products, a, b);
            }
        }
        *sum = _mm512_reduce_add_ps(_mm512_add_ps(products[0], products[1]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::products::{Factors, Whose, off};
    use crate::engine::native::tensor::Kind;

    #[test]
    fn products_are_those_of_ggml_for_each_head_of_each_window() {
        if !are_there() {
            return;
        }
        for ([inputs, outputs, heads, windows], threads) in [
            ([64, 1_500, 6, 3], 1),
            ([64, 1_500, 6, 3], 2),
            ([1_111, 64, 2, 5], 2),
            ([31, 7, 1, 1], 2),
            ([96, 5, 3, 2], 1),
        ] {
            // as in the cache, there is more room than is attended to
            let (matrices, rows) = ([inputs + 9, outputs, heads, windows], [inputs, 1, heads, windows]);
            let factors = Factors { kind: Kind::BF16, matrices, rows, threads };
            let off = off(&factors.products(
                |_| Ok(()),
                |graph, room, rows, whose| {
                    let steps = [room.step(1), room.step(2), room.step(3)];
                    let matrices = graph.view(room, [inputs, outputs, heads, windows], steps, 0);
                    match whose {
                        Whose::Ggml => graph.multiply(matrices, rows),
                        Whose::Ours => graph.multiply_singles(matrices, rows),
                    }
                },
            ));
            assert!(off < 1e-3 * (inputs as f32).sqrt(), "{inputs} x {outputs}: off by {off}");
        }
    }
}
