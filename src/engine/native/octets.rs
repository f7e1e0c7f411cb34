//! Matrix products of blocks of eight-bit numbers (q8_0) with the rows of some windows, by x86's products of bytes (AVX-512 VNNI:
//! Ice Lake, Zen 4 and later). ggml's kernels of it lose by eight rows what they gain by reading the matrix once; here sixteen
//! outputs lie side by side, and what was read of them serves up to eight rows. A row's result is the same beside any others.
//!
//! Source of the blocks' format: ggml, `block_q8_0` (a scale of half precision and 32 signed bytes).
#![expect(unsafe_code, reason = "vector instructions and ggml's memory; each block says why it is sound")]

use std::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps,
    _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
};
use std::array;
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::slice;

use half::f16;
use whisper_rs::whisper_rs_sys as sys;

use super::tensor::{Kind, Tensor};

/// Outputs that lie side by side.
const OUTPUTS: usize = 16;
/// Numbers of a block, which have a scale.
const BLOCK: usize = 32;
/// Bytes of a block, its scale included.
const BLOCK_BYTES: usize = 2 + BLOCK;
/// Numbers of a block that are multiplied at once.
const QUAD: usize = 4;
/// Rows that share what was read.
const ROWS: usize = 8;
/// Rows that are kept at hand as bytes while all outputs pass by.
const ROWS_AT_HAND: usize = 64;

/// Whether this processor multiplies bytes.
pub fn are_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// Whether a matrix with so many inputs can be laid out for this.
pub fn fit(kind: Kind, inputs: usize) -> bool {
    kind == Kind::Q8_0 && inputs > 0 && inputs.is_multiple_of(BLOCK)
}

/// Lays a matrix in the program's own memory out: of each sixteen outputs first the scales, block by block, then the bytes, four
/// of each output at a time, with 128 added. What is left after the last sixteen stays as it is. From then on only
/// [`super::graph::Graph::multiply_octets`] understands it.
///
/// # Errors
/// It does not [`fit`].
pub fn lay_out(matrix: Tensor<'static>) -> Result<(), String> {
    let (inputs, outputs) = (matrix.dim(0), matrix.dim(1));
    let row = inputs / BLOCK * BLOCK_BYTES;
    if !fit(matrix.kind(), inputs) || matrix.bytes() != row * outputs {
        return Err(format!("bug: a matrix of {inputs} x {outputs} for products of bytes"));
    }
    // SAFETY: a tensor of a store lies in this process's memory as so many bytes, and nobody else uses it while weights are
    // loaded
    let bytes = unsafe { slice::from_raw_parts_mut((*matrix.raw.as_ptr()).data.cast::<u8>(), row * outputs) };
    let mut plain = Vec::new();
    for group in bytes.chunks_exact_mut(OUTPUTS * row) {
        plain.clear();
        plain.extend_from_slice(group);
        let (scales, numbers) = group.split_at_mut(OUTPUTS * 2 * (inputs / BLOCK));
        for (output, blocks) in plain.chunks_exact(row).enumerate() {
            for (block, bytes) in blocks.as_chunks::<BLOCK_BYTES>().0.iter().enumerate() {
                let (scale, bytes) = bytes.split_at(2);
                let place = scales.get_mut(2 * (block * OUTPUTS + output)..).and_then(|place| place.get_mut(..2));
                place.into_iter().for_each(|place| place.copy_from_slice(scale));
                for (quad, bytes) in bytes.as_chunks::<QUAD>().0.iter().enumerate() {
                    let at = block * OUTPUTS * BLOCK + (quad * OUTPUTS + output) * QUAD;
                    let place = numbers.get_mut(at..at + QUAD).into_iter().flatten();
                    place.zip(bytes).for_each(|(place, byte)| *place = byte ^ 0x80);
                }
            }
        }
    }
    Ok(())
}

/// Rows as bytes.
#[derive(Default)]
struct Rows {
    bytes: Vec<i8>,
    /// Of each block.
    scales: Vec<f32>,
    /// Of each block: what the 128 that were added to the matrix's bytes add to its products, negated.
    offsets: Vec<i32>,
}

impl Rows {
    fn clear(&mut self) {
        self.bytes.clear();
        self.scales.clear();
        self.offsets.clear();
    }

    fn push(&mut self, row: &[f32]) {
        for block in row.as_chunks::<BLOCK>().0 {
            let greatest = block.iter().fold(0.0_f32, |greatest, number| greatest.max(number.abs()));
            let inverse = if greatest > 0.0 { 127.0 / greatest } else { 0.0 };
            let bytes = block.map(|number| (number * inverse).round_ties_even() as i8);
            self.bytes.extend_from_slice(&bytes);
            self.scales.push(greatest / 127.0);
            self.offsets.push(-128 * bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>());
        }
    }
}

thread_local! {
    /// [`ROWS_AT_HAND`], kept from product to product.
    static AT_HAND: RefCell<Rows> = RefCell::default();
}

/// What ggml calls to compute a product: `target` of `[outputs, rows]` from the first outputs of a matrix that was laid out and
/// `[inputs, rows]` of single precision.
///
/// # Safety
/// ggml's: the tensors are those that [`super::graph::Graph::multiply_octets`] has looked at, with their memory.
pub(super) unsafe extern "C" fn multiply(target: *mut sys::ggml_tensor, part: c_int, parts: c_int, _: *mut c_void) {
    // SAFETY: the caller's promise
    let (target, matrix, rows) = unsafe { (&*target, &*(*target).src[0], &*(*target).src[1]) };
    let length = |length: i64| usize::try_from(length).unwrap_or_default();
    let (inputs, all, outputs, count) =
        (length(matrix.ne[0]), length(matrix.ne[1]), length(target.ne[0]), length(rows.ne[1]));
    let (part, parts) = (part.unsigned_abs() as usize, parts.unsigned_abs().max(1) as usize);
    let groups = outputs.div_ceil(OUTPUTS);
    let share = (groups * part / parts)..(groups * (part + 1) / parts);
    let row_bytes = inputs / BLOCK * BLOCK_BYTES;
    let (weights, sums) = (matrix.data.cast::<u8>().cast_const(), target.data.cast::<f32>());
    AT_HAND.with_borrow_mut(|at_hand| {
        for first in (0..count).step_by(ROWS_AT_HAND) {
            let some = ROWS_AT_HAND.min(count - first);
            at_hand.clear();
            for row in first..first + some {
                // SAFETY: the row is one of `rows`, whose numbers follow each other
                at_hand.push(unsafe {
                    let start = rows.data.cast::<u8>().add(row * rows.nb[1]).cast::<f32>();
                    slice::from_raw_parts(start, inputs)
                });
            }
            for group in share.clone() {
                let output = group * OUTPUTS;
                let wanted = OUTPUTS.min(outputs - output);
                // SAFETY: the group lies in the matrix, the rows at hand are of its inputs, and the target has room for them
                unsafe {
                    let group = weights.add(output * row_bytes);
                    let place = sums.add(first * outputs + output);
                    if output + OUTPUTS <= all {
                        for row in (0..some).step_by(ROWS) {
                            let few = ROWS.min(some - row);
                            SUM_UP[few - 1](
                                group,
                                inputs / BLOCK,
                                at_hand,
                                row,
                                place.add(row * outputs),
                                outputs,
                                wanted,
                            );
                        }
                    } else {
                        sum_up_plain(slice::from_raw_parts(group, wanted * row_bytes), at_hand, some, place, outputs);
                    }
                }
            }
        }
    });
}

/// The group's outputs for some of the rows, from `first` on, each `step` numbers after the one before.
type SumUp = unsafe fn(*const u8, usize, &Rows, usize, *mut f32, usize, usize);

/// By the number of rows, from one on.
const SUM_UP: [SumUp; ROWS] =
    [sum_up::<1>, sum_up::<2>, sum_up::<3>, sum_up::<4>, sum_up::<5>, sum_up::<6>, sum_up::<7>, sum_up::<8>];

/// # Safety
/// [`are_there`]; at `group` are sixteen outputs of so many blocks, laid out; `rows` has `R` rows of as many blocks from `first`
/// on; at `sums` there is room for `wanted` (at most sixteen) numbers of each.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sum_up<const R: usize>(
    group: *const u8,
    blocks: usize,
    rows: &Rows,
    first: usize,
    sums: *mut f32,
    step: usize,
    wanted: usize,
) {
    let mut all: [__m512; R] = [_mm512_setzero_ps(); R];
    // SAFETY: the caller's promise: each load is of the group or of one of these rows, each store of the wanted numbers
    unsafe {
        let (scales, numbers) = (group, group.add(2 * OUTPUTS * blocks));
        let bytes: [*const i8; R] = array::from_fn(|row| rows.bytes.as_ptr().add((first + row) * blocks * BLOCK));
        let own: [usize; R] = array::from_fn(|row| (first + row) * blocks);
        for block in 0..blocks {
            let mut products: [__m512i; R] =
                array::from_fn(|row| _mm512_set1_epi32(*rows.offsets.get_unchecked(own[row] + block)));
            for quad in 0..BLOCK / QUAD {
                let at = block * OUTPUTS * BLOCK + quad * OUTPUTS * QUAD;
                let weights = _mm512_loadu_si512(numbers.add(at).cast());
                for row in 0..R {
                    let four = bytes[row].add(block * BLOCK + quad * QUAD).cast::<i32>().read_unaligned();
                    products[row] = _mm512_dpbusd_epi32(products[row], weights, _mm512_set1_epi32(four));
                }
            }
            let scale = _mm512_cvtph_ps(_mm256_loadu_si256(scales.add(2 * OUTPUTS * block).cast()));
            for row in 0..R {
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(*rows.scales.get_unchecked(own[row] + block)));
                all[row] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(products[row]), all[row]);
            }
        }
        let mask = u16::MAX >> (OUTPUTS - wanted);
        for (row, sum) in all.into_iter().enumerate() {
            _mm512_mask_storeu_ps(sums.add(row * step), mask, sum);
        }
    }
}

/// Outputs that are not laid out, for so many rows.
///
/// # Safety
/// At `sums` there is room for an output of each of these, `step` numbers from row to row.
unsafe fn sum_up_plain(outputs: &[u8], rows: &Rows, count: usize, sums: *mut f32, step: usize) {
    let blocks = rows.scales.len() / count.max(1);
    for (output, bytes) in outputs.chunks_exact(blocks * BLOCK_BYTES).enumerate() {
        for row in 0..count {
            let own = rows.bytes.as_chunks::<BLOCK>().0.iter().zip(&rows.scales).skip(row * blocks);
            let products = bytes.as_chunks::<BLOCK_BYTES>().0.iter().zip(own).map(|(block, (own, scale))| {
                let [low, high, numbers @ ..] = block;
                let product = |(a, b): (&u8, &i8)| i32::from(a.cast_signed()) * i32::from(*b);
                let sum: i32 = numbers.iter().zip(own).map(product).sum();
                f16::from_le_bytes([*low, *high]).to_f32() * scale * sum as f32
            });
            // SAFETY: the caller's promise
            unsafe { sums.add(row * step + output).write(products.sum()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::products::{Factors, Whose, off};

    /// The first outputs of the matrix times the rows, as ggml and as we have it, by so many threads.
    fn products([inputs, outputs, count]: [usize; 3], wanted: usize, threads: u8) -> [Vec<f32>; 2] {
        let (kind, matrices, rows) = (Kind::Q8_0, [inputs, outputs, 1, 1], [inputs, count, 1, 1]);
        Factors { kind, matrices, rows, threads }.products(lay_out, |graph, matrix, rows, whose| match whose {
            Whose::Ggml => graph.multiply(graph.view(matrix, [inputs, wanted, 1, 1], [matrix.step(1), 0, 0], 0), rows),
            Whose::Ours => graph.multiply_octets(matrix, rows, wanted),
        })
    }

    #[test]
    fn products_are_those_of_ggml_whatever_the_number_of_rows_and_outputs() {
        if !are_there() {
            return;
        }
        let shapes =
            [([32, 16, 1], 16), ([64, 23, 3], 23), ([384, 152, 8], 151), ([384, 40, 70], 33), ([1536, 384, 13], 384)];
        for ((shape, wanted), threads) in shapes.into_iter().flat_map(|case| [(case, 1), (case, 2)]) {
            let off = off(&products(shape, wanted, threads));
            // the same bytes; a row's scale is of half precision there
            assert!(off < 0.002 * (shape[0] as f32).sqrt(), "{shape:?}, {threads} threads: off by {off}");
        }
    }

    #[test]
    fn a_row_is_the_same_beside_any_others() {
        if !are_there() {
            return;
        }
        let [_, alone] = products([384, 48, 1], 48, 1);
        for count in [2, 5, 8, 9, 70] {
            let [_, among] = products([384, 48, count], 48, 2);
            assert_eq!(alone, among[..48], "{count} rows");
        }
    }

    #[test]
    fn only_whole_blocks_are_laid_out() {
        assert!(fit(Kind::Q8_0, 384) && !fit(Kind::Q8_0, 0) && !fit(Kind::BF16, 384));
    }
}
