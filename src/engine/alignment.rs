//! When each token was said: the attention of those heads that follow the voice, and the way through it that gathers most.
//!
//! OpenAI's way but for two things. A way gains each position once, so that what all tokens attend to tells nothing. Therefore
//! nothing is normalised over the tokens, which makes much of positions that none attends to.

use crate::model::ggml::Hparams;

/// Layers and heads of the decoder that follow the voice, as OpenAI publishes them for its models; of others those of the
/// upper half of the layers.
pub fn heads(hparams: &Hparams) -> Vec<(usize, usize)> {
    #[rustfmt::skip]
    const TINY_EN: &[(usize, usize)] = &[(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)];
    const TINY: &[(usize, usize)] = &[(2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)];
    const BASE_EN: &[(usize, usize)] = &[(3, 3), (4, 7), (5, 1), (5, 5), (5, 7)];
    const BASE: &[(usize, usize)] = &[(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)];
    const SMALL_EN: &[(usize, usize)] = &[
        (6, 6),
        (7, 0),
        (7, 3),
        (7, 8),
        (8, 2),
        (8, 5),
        (8, 7),
        (9, 0),
        (9, 4),
        (9, 8),
        (9, 10),
        (10, 0),
        (10, 1),
        (10, 2),
        (10, 3),
        (10, 6),
        (10, 11),
        (11, 2),
        (11, 4),
    ];
    const SMALL: &[(usize, usize)] = &[(5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)];
    const MEDIUM_EN: &[(usize, usize)] = &[
        (11, 4),
        (14, 1),
        (14, 12),
        (14, 14),
        (15, 4),
        (16, 0),
        (16, 4),
        (16, 9),
        (17, 12),
        (17, 14),
        (18, 7),
        (18, 10),
        (18, 15),
        (20, 0),
        (20, 3),
        (20, 9),
        (20, 14),
        (21, 12),
    ];
    const MEDIUM: &[(usize, usize)] = &[(13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)];
    // the second version: the first has the same dimensions, and is hardly used
    const LARGE: &[(usize, usize)] = &[
        (10, 12),
        (13, 17),
        (16, 11),
        (16, 12),
        (16, 13),
        (17, 15),
        (17, 16),
        (18, 4),
        (18, 11),
        (18, 19),
        (19, 11),
        (21, 2),
        (21, 3),
        (22, 3),
        (22, 9),
        (22, 12),
        (23, 5),
        (23, 7),
        (23, 13),
        (25, 5),
        (26, 1),
        (26, 12),
        (27, 15),
    ];
    const LARGE_V3: &[(usize, usize)] =
        &[(7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6)];
    const TURBO: &[(usize, usize)] = &[(2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)];
    let published: &[(usize, usize)] = match (hparams.audio_layers, hparams.text_layers, hparams.languages() > 1) {
        (4, 4, false) => TINY_EN,
        (4, 4, true) => TINY,
        (6, 6, false) => BASE_EN,
        (6, 6, true) => BASE,
        (12, 12, false) => SMALL_EN,
        (12, 12, true) => SMALL,
        (24, 24, false) => MEDIUM_EN,
        (24, 24, true) => MEDIUM,
        (32, 32, true) if hparams.mels == 128 => LARGE_V3,
        (32, 32, true) => LARGE,
        (32, 4, true) => TURBO,
        _ => &[],
    };
    if !published.is_empty() {
        return published.to_vec();
    }
    let (layers, heads) = (hparams.text_layers as usize, hparams.text_heads as usize);
    (layers / 2..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect()
}

/// How many milliseconds after the voice a model's heads turn to the next token, by forced alignment of its words; 0 where
/// that was not measured.
pub fn lag_ms(hparams: &Hparams) -> i32 {
    match (hparams.audio_layers, hparams.text_layers, hparams.languages() > 1) {
        (4, 4, false) => 90,
        (6, 6, true) => -50,
        _ => 0,
    }
}

/// For each token, whose attention over so many positions is a row of `attended`, the position at which what follows it begins.
pub fn begins(attended: &[f32], positions: usize) -> Vec<usize> {
    let positions = positions.max(1);
    let smooth: Vec<f32> = attended.chunks_exact(positions).flat_map(smoothed).collect();
    best_way(&smooth, positions)
}

/// Each value the median of itself and two on either side, mirrored at the ends.
fn smoothed(row: &[f32]) -> Vec<f32> {
    let last = row.len().saturating_sub(1);
    let mirrored = (0..row.len() + 4).map(|at| {
        let to = at.abs_diff(2);
        let to = if to > last { (2 * last).saturating_sub(to) } else { to };
        row.get(to).copied().unwrap_or_default()
    });
    let mirrored: Vec<f32> = mirrored.collect();
    mirrored.array_windows().map(|around| median(*around)).collect()
}

fn median([a, b, c, d, e]: [f32; 5]) -> f32 {
    // the least and the greatest of the first four are not it
    let (low, high) = (a.min(b).max(c.min(d)), a.max(b).min(c.max(d)));
    low.min(high).max(low.max(high).min(e))
}

/// Through a matrix of gains, from its first corner to its last: each position is gained in one row, rows in order, and a row
/// may pass without a position of its own. Where each row is entered.
fn best_way(gains: &[f32], positions: usize) -> Vec<usize> {
    let rows = gains.len() / positions;
    let width = positions + 1;
    let mut best = vec![f32::NEG_INFINITY; (rows + 1) * width];
    let mut from = vec![Step::Both; best.len()];
    best[0] = 0.0;
    for row in 1..=rows {
        for position in 1..=positions {
            let at = row * width + position;
            let gain = gains[(row - 1) * positions + position - 1];
            let (both, along, down) = (best[at - width - 1] + gain, best[at - 1] + gain, best[at - width]);
            (best[at], from[at]) = if both >= along && both >= down {
                (both, Step::Both)
            } else if along >= down {
                (along, Step::Along)
            } else {
                (down, Step::Down)
            };
        }
    }
    let mut entered = vec![0; rows];
    let (mut row, mut position) = (rows, positions);
    while row > 0 && position > 0 {
        entered[row - 1] = position - 1;
        match from[row * width + position] {
            Step::Both => (row, position) = (row - 1, position - 1),
            Step::Along => position -= 1,
            Step::Down => {
                entered[row - 1] = position.min(positions - 1);
                row -= 1;
            }
        }
    }
    entered
}

/// How a row and a position are come to.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// From the row and the position before.
    Both,
    /// From the position before.
    Along,
    /// From the row before, which has the position.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attention to 3 tokens that are said at positions 0 to 9, 10 to 29 and 30 to 39.
    fn attended() -> Vec<f32> {
        let row = |said: std::ops::Range<usize>| {
            (0..40).map(move |position| if said.contains(&position) { 0.9 } else { 0.1 })
        };
        [0..10, 10..30, 30..40].into_iter().flat_map(row).collect()
    }

    #[test]
    fn a_token_begins_where_the_attention_turns_to_it() {
        assert_eq!(begins(&attended(), 40), [0, 10, 30]);
    }

    #[test]
    fn what_every_token_attends_to_tells_nothing() {
        let mut attended = attended();
        attended.chunks_exact_mut(40).for_each(|row| row[20..24].fill(7.0));
        assert_eq!(begins(&attended, 40), [0, 10, 30]);
    }

    #[test]
    fn a_blip_of_attention_is_smoothed_away() {
        let mut attended = attended();
        attended[2] = 0.0;
        attended[40 + 5] = 30.0;
        assert_eq!(begins(&attended, 40), [0, 10, 30]);
    }

    #[test]
    fn more_tokens_than_positions_are_one_after_the_other() {
        let found = begins(&[0.5; 8], 2);
        assert_eq!(found.len(), 4);
        assert!(found.is_sorted());
    }
}
