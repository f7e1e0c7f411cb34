//! Matrix products on the tile unit of Intel's processors (AMX: Sapphire Rapids and later): sixteen rows by sixteen columns of
//! bf16 at a time, summed up in single precision. ggml has kernels of it for quantised matrices whose rows are multiples of
//! 2,048 numbers alone, which Whisper's are not.
//!
//! Source of the formats: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
#![expect(unsafe_code, reason = "instructions that the compiler has no names for; each block says why it is sound")]

use std::arch::asm;
use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_void};
use std::slice;
use std::sync::OnceLock;

use whisper_rs::whisper_rs_sys as sys;

use super::tensor::{Kind, Tensor};

/// Rows and columns of a tile of sums.
pub(super) const SIDE: usize = 16;
/// Products that are summed up in one step: a row of a tile has so many numbers of bf16.
pub(super) const DEPTH: usize = 32;
/// Numbers of a tile of weights: sixteen pairs of rows, each with both numbers of sixteen columns.
pub(super) const TILE: usize = SIDE * DEPTH;
/// Rows and columns that are computed at a time, in four tiles of sums.
pub(super) const BLOCK: usize = 2 * SIDE;
/// Rows whose numbers, as bf16, are kept at hand while all weights pass by.
const ROWS_AT_HAND: usize = 256;

/// Whether this processor has such a unit, and the system lets this process use it.
pub fn are_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| has_unit() && is_permitted())
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_unit() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn has_unit() -> bool {
    false
}

/// Its registers are large, so that Linux saves them only for processes that asked.
fn is_permitted() -> bool {
    const ARCH_PRCTL: c_long = 158;
    const ARCH_REQ_XCOMP_PERM: c_long = 0x1023;
    const XFEATURE_XTILEDATA: c_long = 18;
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    // SAFETY: asks for the use of registers, for all threads of the process; touches no memory of ours
    unsafe { syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Whether a matrix of `[inputs, outputs]` can be laid out for the unit.
pub fn fit(kind: Kind, inputs: usize, outputs: usize) -> bool {
    kind == Kind::BF16 && inputs.is_multiple_of(DEPTH) && outputs.is_multiple_of(BLOCK)
}

/// Lays a matrix of weights in the program's own memory out for the unit: tile by tile of sixteen outputs, in each the
/// numbers of two inputs beside each other. From then on only [`super::graph::Graph::multiply_tiled`] understands it.
///
/// # Errors
/// It does not [`fit`].
pub fn lay_out(matrix: Tensor<'static>) -> Result<(), String> {
    let (inputs, outputs) = (matrix.dim(0), matrix.dim(1));
    if !fit(matrix.kind(), inputs, outputs) || matrix.bytes() != 2 * inputs * outputs {
        return Err(format!("bug: a matrix of {inputs} x {outputs} for tiles"));
    }
    // SAFETY: a tensor of a store lies in this process's memory as so many numbers of two bytes, and nobody else uses it
    // while weights are loaded
    let numbers = unsafe { slice::from_raw_parts_mut((*matrix.raw.as_ptr()).data.cast::<u16>(), inputs * outputs) };
    let plain = numbers.to_vec();
    let mut tiles = numbers.as_chunks_mut::<TILE>().0.iter_mut();
    for rows in plain.chunks_exact(SIDE * inputs) {
        for depth in (0..inputs).step_by(DEPTH) {
            let Some(tile) = tiles.next() else { break };
            for (at, number) in tile.iter_mut().enumerate() {
                let (pair, column, second) = (at / DEPTH, at % DEPTH / 2, at % 2);
                *number = rows.get(column * inputs + depth + 2 * pair + second).copied().unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// What ggml calls to compute a product: `target` of `[outputs, rows]` from a matrix that was laid out and `[inputs, rows]` of
/// single precision.
///
/// # Safety
/// ggml's: the tensors are those that [`super::graph::Graph::multiply_tiled`] has looked at, with their memory.
pub(super) unsafe extern "C" fn multiply(target: *mut sys::ggml_tensor, part: c_int, parts: c_int, _: *mut c_void) {
    // SAFETY: the caller's promise
    let (target, matrix, rows) = unsafe { (&*target, &*(*target).src[0], &*(*target).src[1]) };
    let length = |length: i64| usize::try_from(length).unwrap_or_default();
    let (inputs, outputs, count) = (length(matrix.ne[0]), length(matrix.ne[1]), length(rows.ne[1]));
    let (part, parts) = (part.unsigned_abs() as usize, parts.unsigned_abs().max(1) as usize);
    // columns are shared out
    let blocks = outputs / BLOCK;
    let share = (blocks * part / parts)..(blocks * (part + 1) / parts);
    let (weights, sums) = (matrix.data.cast::<u16>(), target.data.cast::<f32>());
    AT_HAND.with_borrow_mut(|at_hand| {
        at_hand.resize(ROWS_AT_HAND * inputs, 0);
        configure();
        for first in (0..count).step_by(ROWS_AT_HAND) {
            let some = ROWS_AT_HAND.min(count - first);
            let padded = some.next_multiple_of(BLOCK);
            for (row, place) in at_hand.chunks_exact_mut(inputs).take(padded).enumerate() {
                if row >= some {
                    place.fill(0);
                    continue;
                }
                // SAFETY: the row is one of `rows`, whose numbers follow each other
                let numbers = unsafe {
                    let start = rows.data.cast::<u8>().add((first + row) * rows.nb[1]).cast::<f32>();
                    slice::from_raw_parts(start, inputs)
                };
                place.iter_mut().zip(numbers).for_each(|(place, number)| *place = rounded(*number));
            }
            for block in share.clone() {
                // SAFETY: the block's two columns of tiles lie in the matrix
                let tiles = unsafe { weights.add(block * BLOCK * inputs) };
                for row in (0..padded).step_by(BLOCK) {
                    let here = at_hand.as_ptr().wrapping_add(row * inputs);
                    // SAFETY: a block of rows is at hand, and all of the target's or `spare`'s block is there to be written
                    unsafe {
                        let place = sums.add((first + row) * outputs + block * BLOCK);
                        if row + BLOCK <= some {
                            sum_up(here, tiles, inputs, place, outputs);
                        } else {
                            let mut spare = [0.0_f32; BLOCK * BLOCK];
                            sum_up(here, tiles, inputs, spare.as_mut_ptr(), BLOCK);
                            for (line, sums) in spare.chunks_exact(BLOCK).take(some - row).enumerate() {
                                place.add(line * outputs).copy_from_nonoverlapping(sums.as_ptr(), BLOCK);
                            }
                        }
                    }
                }
            }
        }
        release();
    });
}

thread_local! {
    /// [`ROWS_AT_HAND`], kept from product to product.
    static AT_HAND: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

/// To the nearest number of bf16, halves to even ones.
#[inline(always)]
pub(super) fn rounded(number: f32) -> u16 {
    let bits = number.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The unit's configuration: all eight tiles of sixteen rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

pub(super) fn configure() {
    static ALL: Configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    // SAFETY: the unit is there (matrices are laid out only then), and the configuration is 64 bytes as the manual has them
    unsafe {
        asm!("ldtilecfg [{0}]", in(reg) &raw const ALL, out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _, options(nostack, readonly, preserves_flags));
    }
}

/// Gives the registers up, so that threads are switched without them.
pub(super) fn release() {
    // SAFETY: as [`configure`]
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
}

/// A block of 32 rows times 32 columns.
///
/// # Safety
/// The unit is configured; at `rows` are 32 rows of `inputs` numbers, at `tiles` two columns of `inputs / 32` tiles, and at
/// `sums` there is room for 32 rows of 32 numbers, each `step` numbers after the one before.
pub(super) unsafe fn sum_up(rows: *const u16, tiles: *const u16, inputs: usize, sums: *mut f32, step: usize) {
    // SAFETY: the caller's promise: each load and store is of sixteen lines of 64 bytes of these
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{upper} + {row_bytes} * 1]",
            "tileloadd tmm6, [{left} + {line} * 1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{right} + {line} * 1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {row_bytes} * 1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, 64",
            "add {lower}, 64",
            "add {left}, 1024",
            "add {right}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{sums} + {sum_bytes} * 1], tmm0",
            "tilestored [{sums} + {sum_bytes} * 1 + 64], tmm1",
            "tilestored [{below} + {sum_bytes} * 1], tmm2",
            "tilestored [{below} + {sum_bytes} * 1 + 64], tmm3",
            upper = inout(reg) rows => _,
            lower = inout(reg) rows.add(SIDE * inputs) => _,
            left = inout(reg) tiles => _,
            right = inout(reg) tiles.add(SIDE * inputs) => _,
            steps = inout(reg) inputs / DEPTH => _,
            row_bytes = in(reg) 2 * inputs,
            line = in(reg) 64_usize,
            sums = in(reg) sums,
            below = in(reg) sums.add(SIDE * step),
            sum_bytes = in(reg) 4 * step,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::products::{Factors, Whose, off};

    #[test]
    fn products_are_those_of_ggml_whatever_the_number_of_rows() {
        if !are_there() {
            return;
        }
        for (inputs, outputs, count) in [(32, 32, 1), (64, 96, 31), (256, 384, 33), (384, 1536, 300), (1536, 384, 512)]
        {
            let (kind, matrices, rows) = (Kind::BF16, [inputs, outputs, 1, 1], [inputs, count, 1, 1]);
            let off =
                off(&Factors { kind, matrices, rows, threads: 1 }.products(lay_out, |graph, matrix, rows, whose| {
                    match whose {
                        Whose::Ggml => graph.multiply(matrix, rows),
                        Whose::Ours => graph.multiply_tiled(matrix, rows),
                    }
                }));
            // sums of so many products of numbers below one, in another order
            assert!(off < 0.02 * (inputs as f32).sqrt() / 16.0, "{inputs} x {outputs}, {count} rows: off by {off}");
        }
    }

    #[test]
    fn only_matrices_of_whole_tiles_are_laid_out() {
        assert!(fit(Kind::BF16, 384, 1_152) && !fit(Kind::BF16, 240, 384) && !fit(Kind::BF16, 384, 48));
        assert!(!fit(Kind::F16, 384, 384));
    }
}
