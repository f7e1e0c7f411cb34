//! Whether two recordings hold the same sound at the same places.

/// Samples are compared at a quarter of 16 kHz: enough to tell where a word is.
const COARSE_HZ: usize = 4_000;
/// Length of what is compared at a time.
const BLOCK: usize = COARSE_HZ / 2;
/// How far apart two sounds may be: 50 ms.
const REACH: usize = COARSE_HZ / 20;
/// Root mean square below which a block is silence.
const QUIET: f32 = 0.008;

/// Least correlation of a block with itself after another decoder; another place of the same speech has less than 0.5.
const ALIKE: f32 = 0.7;
const TORN: f32 = 0.55;

/// How many blocks of a file may be only so like.
const MOST_TORN: u32 = 5;

/// Durations may differ by so much, seconds.
const SAME_SECS: f64 = 0.05;

/// What differs between `ours` and `theirs`, both 16 kHz; `None` where nothing does.
pub fn difference(ours: &[f32], theirs: &[f32]) -> Option<String> {
    let secs = |samples: &[f32]| samples.len() as f64 / 16_000.0;
    if (secs(ours) - secs(theirs)).abs() > SAME_SECS {
        return Some(format!("{:.3} s instead of {:.3} s", secs(ours), secs(theirs)));
    }
    // what comes earlier than theirs begins may do so at the start too
    let ours = [vec![0.0; REACH], coarse(ours), vec![0.0; REACH]].concat();
    let theirs = coarse(theirs);
    let (mut loud_blocks, mut torn) = (0, 0);
    for start in (0..theirs.len()).step_by(BLOCK) {
        let Some(wanted) = theirs.get(start..start + BLOCK) else { break };
        let at = start as f64 / COARSE_HZ as f64;
        if loudness(wanted) < QUIET {
            // what is at its border may lie on either side
            let inner = ours.get(start + 2 * REACH..start + BLOCK).unwrap_or_default();
            if loudness(inner) > 2.0 * QUIET {
                return Some(format!("sound at {at:.1} s, where there should be silence"));
            }
            continue;
        }
        loud_blocks += 1;
        let likeness = (0..=2 * REACH)
            .filter_map(|shift| ours.get(start + shift..)?.get(..BLOCK))
            .map(|block| correlation(block, wanted))
            .fold(0.0, f32::max);
        // the last block may be cut
        let is_last = start + BLOCK + 3 * REACH >= ours.len();
        // at a border one half may be played otherwise, and each decoder makes noise of its own: in few blocks
        if likeness > TORN && torn < MOST_TORN {
            torn += u32::from(likeness < ALIKE);
            continue;
        }
        if likeness < ALIKE && !is_last {
            return Some(format!("another sound at {at:.1} s (correlation {likeness:.2})"));
        }
    }
    (loud_blocks == 0).then(|| "nothing but silence to compare with".to_owned())
}

fn coarse(samples: &[f32]) -> Vec<f32> {
    samples.chunks(16_000 / COARSE_HZ).map(|chunk| chunk.iter().sum::<f32>() / chunk.len() as f32).collect()
}

fn loudness(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    dot / (loudness(a) * loudness(b) * a.len() as f32).max(f32::MIN_POSITIVE)
}
