//! Attention of the encoder on the tile unit: head by head, the scores of 32 positions with all others, their shares and what
//! those make of the values, before the next 32 are looked at, so that no score leaves the processor's second cache.
#![expect(unsafe_code, reason = "vector instructions and ggml's memory; each block says why it is sound")]

use std::cell::RefCell;
use std::f32::consts::LOG2_E;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::slice;

use whisper_rs::whisper_rs_sys as sys;

use super::tiles::{self, BLOCK, DEPTH, SIDE, TILE, rounded};
use crate::power::two_to;

/// Numbers of a vector.
const VECTOR: usize = 16;

/// Whether this processor can.
pub fn are_there() -> bool {
    tiles::are_there() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Whether heads of so many numbers can be attended to.
pub fn fit(depth: usize) -> bool {
    depth > 0 && depth.is_multiple_of(BLOCK)
}

/// What a thread works in, kept from layer to layer.
#[derive(Default)]
struct Room {
    /// Of a head, as the unit takes them.
    keys: Vec<u16>,
    values: Vec<u16>,
    /// Of 32 positions.
    queries: Vec<u16>,
    scores: Vec<f32>,
    shares: Vec<u16>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// What ggml calls to compute what is attended to: `target` of `[depth, heads, positions]` from queries, keys and values
/// `[3 x depth x heads, positions]` of single precision.
///
/// # Safety
/// ggml's: the tensors are those that [`super::graph::Graph::attend_tiled`] has looked at, with their memory.
pub(super) unsafe extern "C" fn attend(target: *mut sys::ggml_tensor, part: c_int, parts: c_int, _: *mut c_void) {
    // SAFETY: the caller's promise
    let (target, source) = unsafe { (&*target, &*(*target).src[0]) };
    let length = |length: i64| usize::try_from(length).unwrap_or_default();
    let (depth, heads, positions) = (length(target.ne[0]), length(target.ne[1]), length(target.ne[2]));
    let width = depth * heads;
    let blocks = positions.div_ceil(BLOCK);
    let (part, parts) = (part.unsigned_abs() as usize, parts.unsigned_abs().max(1) as usize);
    let (mut next, end) = (heads * blocks * part / parts, heads * blocks * (part + 1) / parts);
    // SAFETY: so many numbers are there
    let source = unsafe { slice::from_raw_parts(source.data.cast::<f32>().cast_const(), 3 * width * positions) };
    ROOM.with_borrow_mut(|room| {
        while next < end {
            let (head, first) = (next / blocks, next % blocks);
            let last = blocks.min(first + end - next);
            room.take(source, width, depth, head);
            tiles::configure();
            for block in first..last {
                let some = BLOCK.min(positions - block * BLOCK);
                // SAFETY: the unit is there, or nobody had asked for this; the target has room for the block's rows
                unsafe {
                    let place = target.data.cast::<f32>().add(block * BLOCK * width + head * depth);
                    room.attend(source, [width, depth, head], block * BLOCK..block * BLOCK + some, place);
                }
            }
            tiles::release();
            next += last - first;
        }
    });
}

impl Room {
    /// Lays a head's keys and values out for the unit, filled up with zeros.
    fn take(&mut self, source: &[f32], width: usize, depth: usize, head: usize) {
        let positions = source.len() / (3 * width);
        let padded = positions.next_multiple_of(BLOCK);
        for numbers in [&mut self.keys, &mut self.values] {
            numbers.clear();
            numbers.resize(padded * depth, 0);
        }
        for (position, row) in source.chunks_exact(3 * width).enumerate() {
            let part = |part: usize| row.get(part * width + head * depth..).and_then(|row| row.get(..depth));
            let [Some(key), Some(value)] = [1, 2].map(part) else { break };
            // a tile has sixteen positions, and of each 32 numbers in pairs
            let column = position / SIDE * SIDE * depth + position % SIDE * 2;
            for (tile, numbers) in key.as_chunks::<DEPTH>().0.iter().enumerate() {
                for (pair, numbers) in numbers.as_chunks::<2>().0.iter().enumerate() {
                    let at = column + tile * TILE + pair * DEPTH;
                    let place = self.keys.get_mut(at..at + 2).into_iter().flatten();
                    place.zip(numbers).for_each(|(place, number)| *place = rounded(*number));
                }
            }
            // a tile has 32 positions in pairs, and of each sixteen numbers
            let row = position / DEPTH * TILE + position % DEPTH / 2 * DEPTH + position % 2;
            for (column, numbers) in value.as_chunks::<SIDE>().0.iter().enumerate() {
                let at = column * SIDE * padded + row;
                let places = self.values.get_mut(at..).into_iter().flatten().step_by(2);
                places.zip(numbers).for_each(|(place, number)| *place = rounded(*number));
            }
        }
    }

    /// Some positions, at most 32, of the head that was taken; writes them at `place`, `width` numbers apart.
    ///
    /// # Safety
    /// The unit is there and configured; there is room at `place`.
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn attend(&mut self, source: &[f32], [width, depth, head]: [usize; 3], rows: Range<usize>, place: *mut f32) {
        let positions = source.len() / (3 * width);
        let padded = positions.next_multiple_of(BLOCK);
        self.queries.clear();
        self.queries.resize(BLOCK * depth, 0);
        for (to, row) in self.queries.chunks_exact_mut(depth).zip(rows.clone()) {
            let from = source.get(row * 3 * width + head * depth..).into_iter().flatten();
            to.iter_mut().zip(from).for_each(|(to, number)| *to = rounded(*number));
        }
        self.scores.resize(BLOCK * padded, 0.0);
        self.shares.resize(BLOCK * padded, 0);
        for keys in 0..padded / BLOCK {
            // SAFETY: so many keys were laid out, and so many scores have room
            unsafe {
                let tiles = self.keys.as_ptr().add(keys * BLOCK * depth);
                let scores = self.scores.as_mut_ptr().add(keys * BLOCK);
                tiles::sum_up(self.queries.as_ptr(), tiles, depth, scores, padded);
            }
        }
        let scale = 1.0 / (depth as f32).sqrt();
        let mut sums = [1.0_f32; BLOCK];
        let rows_of = self.scores.chunks_exact_mut(padded).zip(self.shares.chunks_exact_mut(padded));
        for ((scores, shares), sum) in rows_of.zip(&mut sums).take(rows.len()) {
            if let Some(beyond) = scores.get_mut(positions..) {
                beyond.fill(f32::NEG_INFINITY);
            }
            *sum = soften(scores, shares, scale);
        }
        let mut block = [0.0_f32; BLOCK * BLOCK];
        for column in (0..depth).step_by(BLOCK) {
            // SAFETY: so many values were laid out; the rows' numbers have room at `place`
            unsafe {
                let tiles = self.values.as_ptr().add(column * padded);
                tiles::sum_up(self.shares.as_ptr(), tiles, padded, block.as_mut_ptr(), BLOCK);
                for (row, (numbers, sum)) in block.as_chunks::<BLOCK>().0.iter().zip(&sums).enumerate().take(rows.len())
                {
                    let place = slice::from_raw_parts_mut(place.add(row * width + column), BLOCK);
                    place.iter_mut().zip(numbers).for_each(|(place, number)| *place = number / sum);
                }
            }
        }
    }
}

/// The shares of some scores times `scale`, before their sum, which it returns, is made 1. Their number is a multiple of 32.
#[target_feature(enable = "avx512f,avx512bw")]
fn soften(scores: &[f32], shares: &mut [u16], scale: f32) -> f32 {
    let scores = scores.as_chunks::<VECTOR>().0;
    let mut most = [f32::NEG_INFINITY; VECTOR];
    for scores in scores {
        for (most, score) in most.iter_mut().zip(scores) {
            *most = if *score > *most { *score } else { *most };
        }
    }
    let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
    // powers of two are what a processor has
    let scale = scale * LOG2_E;
    let mut sums = [0.0_f32; VECTOR];
    for (scores, shares) in scores.iter().zip(shares.as_chunks_mut::<VECTOR>().0) {
        for ((score, share), sum) in scores.iter().zip(shares).zip(&mut sums) {
            let power = two_to((*score - most) * scale);
            *sum += power;
            *share = rounded(power);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use half::bf16;

    use super::*;
    use crate::engine::native::backend::Backend;
    use crate::engine::native::graph::Graph;
    use crate::engine::native::tensor::Kind;
    use crate::engine::native::workspace::Workspace;

    const DEPTH_OF_HEAD: usize = 64;

    fn ours(numbers: &[f32], heads: usize, positions: usize, threads: u8) -> Vec<f32> {
        let mut backend = Backend::new(None, threads).unwrap();
        let graph = Graph::new(8).unwrap();
        let input = graph.input(Kind::F32, [3 * DEPTH_OF_HEAD * heads, positions, 1, 1]);
        let attended = graph.output(graph.attend_tiled(input, heads));
        let mut memory = Workspace::new(backend.memory());
        let mut placed = memory.place(&graph).unwrap();
        placed.set(input, numbers).unwrap();
        placed.compute(&mut backend).unwrap();
        placed.read(&attended, 0, attended.bytes() / size_of::<f32>()).unwrap().into_owned()
    }

    /// As the formula has it, with nothing but the numbers rounded.
    fn plain(numbers: &[f32], heads: usize, positions: usize) -> Vec<f32> {
        let width = DEPTH_OF_HEAD * heads;
        let numbers: Vec<f32> = numbers.iter().map(|number| bf16::from_f32(*number).to_f32()).collect();
        let of = |part: usize, head: usize, position: usize| {
            &numbers[position * 3 * width + part * width + head * DEPTH_OF_HEAD..][..DEPTH_OF_HEAD]
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let mut out = Vec::new();
        for (query, head) in (0..positions).flat_map(|query| (0..heads).map(move |head| (query, head))) {
            let score = |key| (dot(of(0, head, query), of(1, head, key)) / 8.0).exp();
            let shares: Vec<f32> = (0..positions).map(score).collect();
            let sum: f32 = shares.iter().sum();
            out.extend((0..DEPTH_OF_HEAD).map(|number| {
                let weighed = shares.iter().enumerate().map(|(key, share)| share * of(2, head, key)[number]);
                weighed.sum::<f32>() / sum
            }));
        }
        out
    }

    #[test]
    fn what_is_attended_to_is_what_the_formula_says_whoever_shares_the_work() {
        if !are_there() {
            return;
        }
        let mut random = fastrand::Rng::with_seed(7);
        for (heads, positions) in [(6, 300), (2, 33), (1, 1), (3, 64)] {
            let numbers: Vec<f32> =
                (0..3 * DEPTH_OF_HEAD * heads * positions).map(|_| random.f32() * 6.0 - 3.0).collect();
            let one = ours(&numbers, heads, positions, 1);
            let formula = plain(&numbers, heads, positions);
            let off = one.iter().zip(&formula).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // shares are rounded to bf16, by 1 of 512 at most
            assert!(one.len() == formula.len() && off < 3.0 / 512.0, "{heads} heads, {positions}: off by {off}");
            assert_eq!(one, ours(&numbers, heads, positions, 2), "{heads} heads, {positions}");
        }
    }
}
