//! When each token was said: the attention of those heads that follow the voice, and the cheapest way through it.

use crate::model::ggml::Hparams;

/// Attention is smoothed over so many positions.
const SMOOTHED: usize = 7;

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

/// What attention says of `tokens` tokens over `positions`: for each head a matrix of `tokens` rows.
pub struct Attended {
    /// One after the other.
    pub shares: Vec<f32>,
    /// Rows of each.
    pub tokens: usize,
    /// Of each row.
    pub positions: usize,
}

/// For each row from `first` on, the position at which what follows it begins.
pub fn begins(attended: &Attended, first: usize) -> Vec<usize> {
    let Attended { shares, tokens, positions } = attended;
    let (tokens, positions) = (*tokens, *positions);
    let mut mean = vec![0.0_f32; (tokens - first) * positions];
    for head in shares.chunks_exact(tokens * positions) {
        let head = normalised(head, tokens, positions);
        for (sum, row) in mean.chunks_exact_mut(positions).zip(head.chunks_exact(positions).skip(first)) {
            for (sum, value) in sum.iter_mut().zip(smoothed(row)) {
                *sum += value;
            }
        }
    }
    cheapest_way(&mean, positions)
}

/// Each position's values to mean 0 and deviation 1 over the tokens: what all tokens attend to tells nothing.
fn normalised(head: &[f32], tokens: usize, positions: usize) -> Vec<f32> {
    let mut head = head.to_vec();
    for position in 0..positions {
        let column = || (0..tokens).map(|token| token * positions + position);
        let mean = column().map(|at| head[at]).sum::<f32>() / tokens as f32;
        let variance = column().map(|at| (head[at] - mean).powi(2)).sum::<f32>() / tokens as f32;
        let deviation = variance.sqrt().max(1e-9);
        for at in column() {
            head[at] = (head[at] - mean) / deviation;
        }
    }
    head
}

/// Each value the median of its neighbourhood, mirrored at the ends.
fn smoothed(row: &[f32]) -> impl Iterator<Item = f32> {
    let (half, last) = (SMOOTHED / 2, row.len().saturating_sub(1));
    (0..row.len()).map(move |at| {
        let mut around = [0.0_f32; SMOOTHED];
        for (place, value) in around.iter_mut().enumerate() {
            let to = (at + place).abs_diff(half);
            let to = if to > last { (2 * last).saturating_sub(to) } else { to };
            *value = row.get(to).copied().unwrap_or_default();
        }
        around.sort_unstable_by(f32::total_cmp);
        around[half]
    })
}

/// Through a matrix of gains, from its first corner to its last, one step down, along or both: where each row is entered.
fn cheapest_way(gains: &[f32], positions: usize) -> Vec<usize> {
    let rows = gains.len() / positions;
    let mut best = vec![f32::NEG_INFINITY; (rows + 1) * (positions + 1)];
    let mut from = vec![0_u8; best.len()];
    let width = positions + 1;
    best[0] = 0.0;
    for row in 1..=rows {
        for position in 1..=positions {
            let at = row * width + position;
            let (both, down, along) = (best[at - width - 1], best[at - width], best[at - 1]);
            let (gain, way) = if both > down && both > along {
                (both, 0)
            } else if down > along {
                (down, 1)
            } else {
                (along, 2)
            };
            best[at] = gain + gains[(row - 1) * positions + position - 1];
            from[at] = way;
        }
    }
    let mut entered = vec![0; rows];
    let (mut row, mut position) = (rows, positions);
    while row > 0 && position > 0 {
        entered[row - 1] = position - 1;
        match from[row * width + position] {
            0 => (row, position) = (row - 1, position - 1),
            1 => row -= 1,
            _ => position -= 1,
        }
    }
    entered
}
