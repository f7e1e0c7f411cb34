//! What a GPU has memory for: how many windows at a time beside the weights, and how those are stored.

use super::EngineArgs;
use super::alignment;
use super::device::Device;
use super::encoder::FUSED_STEP;
use super::kinds::Kinds;
use super::native::tensor::Kind;
use crate::model::ggml::{self, Hparams};

/// What CUDA itself, its products and the intermediate results of the largest model take. Reckoned, on no GPU measured.
const BESIDE_BYTES: u64 = 1 << 30;

/// Bytes of a half float.
const HALF: u64 = 2;

/// Bytes of a single one.
const SINGLE: u64 = 4;

/// What is taken of a GPU's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Windows at a time.
    pub rows: usize,
    /// How the weights are stored; `None` where that is left to [`super::trial`].
    pub kinds: Option<Kinds>,
}

/// What fits, and what had to be less than was wished for: a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    rows: usize,
    kinds: Kinds,
    warning: Option<String>,
}

/// Windows at a time: those that were asked for, unless a GPU has no memory for them.
///
/// # Errors
/// A sentence: the model cannot be read, or not even one window fits.
pub fn of(args: &EngineArgs, device: &Device) -> Result<Room, String> {
    let wished = usize::from(args.lanes);
    if !device.is_gpu() || device.free_bytes == 0 {
        return Ok(Room { rows: wished, kinds: None });
    }
    let contents = ggml::inspect(&args.model).map_err(|e| e.to_string())?;
    let bytes = contents.tensors.values().map(|tensor| tensor.bytes).sum();
    let (width, auto) = (usize::from(args.beam_size.max(1)), args.weights == "auto");
    let plan = plan(device.free_bytes, bytes, &contents.hparams, wished, width, auto)?;
    if let Some(warning) = plan.warning {
        tracing::warn!("{warning}");
    }
    Ok(Room { rows: plan.rows, kinds: auto.then_some(plan.kinds) })
}

/// Room for `wished` windows, each of so many texts at a time, or for as many as fit into `free` bytes beside weights that
/// take `weights` bytes as half floats. Where `auto` was asked for and not even one fits, weights of eight bits are tried.
///
/// # Errors
/// A sentence: not even one window fits.
fn plan(free: u64, weights: u64, hparams: &Hparams, wished: usize, width: usize, auto: bool) -> Result<Plan, String> {
    let row = row_bytes(hparams) * width.max(1) as u64;
    let half = Kinds { encoder: Kind::F16, decoder: Kind::F16, attention: Kind::F16 };
    let eight = Kinds { encoder: Kind::Q8_0, decoder: Kind::Q8_0, ..half };
    // a block of 32 numbers is 34 bytes instead of 64
    let ways = [(half, weights), (eight, weights / 64 * 34)];
    for (kinds, weights) in ways.into_iter().take(if auto { 2 } else { 1 }) {
        let rows = free.saturating_sub(weights + BESIDE_BYTES) / row.max(1);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(wished);
        if rows == 0 {
            continue;
        }
        let less = rows < wished || kinds != half;
        let warning = less.then(|| {
            let bits = if kinds == half { "16" } else { "8" };
            format!(
                "{} MiB of GPU memory are free: {rows} of {wished} windows at a time, weights of {bits} bits",
                free >> 20
            )
        });
        return Ok(Plan { rows, kinds, warning });
    }
    let needed = weights + BESIDE_BYTES + row;
    Err(format!(
        "{} MiB of GPU memory are free, and the model needs {} MiB: who else uses it?",
        free >> 20,
        needed >> 20
    ))
}

/// Keys and values of a window, of its text and of what was heard, and what its text asked of that.
fn row_bytes(hparams: &Hparams) -> u64 {
    let padded = |positions: u32| (positions as usize).next_multiple_of(FUSED_STEP) as u64;
    let (text, width) = (padded(hparams.text_context), u64::from(hparams.text_state));
    let heads = alignment::heads(hparams);
    let asking = (0..hparams.text_layers as usize).filter(|layer| heads.iter().any(|head| head.0 == *layer)).count();
    let kept = u64::from(hparams.text_layers) * (text + padded(hparams.audio_context)) * width * 2 * HALF;
    kept + asking as u64 * text * width * SINGLE
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const GIB: u64 = 1 << 30;

    /// large-v3: 3.1 GB of half floats, 345 MiB each window.
    fn large() -> Hparams {
        Hparams {
            vocabulary: 51_866,
            audio_context: 1_500,
            audio_state: 1_280,
            audio_heads: 20,
            audio_layers: 32,
            text_context: 448,
            text_state: 1_280,
            text_heads: 20,
            text_layers: 32,
            mels: 128,
            ftype: 1,
        }
    }

    fn rows(free: u64) -> Option<(usize, bool, bool)> {
        let room = plan(free, 3_100_000_000, &large(), 8, 1, true).ok()?;
        Some((room.rows, room.kinds.decoder == Kind::F16, room.warning.is_some()))
    }

    #[test]
    fn rows_and_then_bits_are_given_up_for_want_of_memory() {
        assert_eq!(row_bytes(&large()), 345 << 20);
        assert_eq!(rows(15 * GIB), Some((8, true, false)));
        assert_eq!(rows(5 * GIB), Some((3, true, true)));
        assert_eq!(rows(4 * GIB), Some((4, false, true)));
        assert_eq!(rows(2 * GIB), None);
    }

    #[test]
    fn weights_that_were_asked_for_stay_and_a_beam_takes_a_slot_for_each_text() {
        assert!(plan(4 * GIB, 3_100_000_000, &large(), 8, 1, false).is_err());
        let wide = plan(8 * GIB, 3_100_000_000, &large(), 8, 5, true).unwrap();
        assert_eq!(wide.rows, 2);
        assert!(wide.warning.unwrap().contains("8192 MiB of GPU memory are free: 2 of 8 windows"));
    }
}
