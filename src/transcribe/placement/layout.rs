//! Words that nothing says the times of. They are laid over the runs of voice in proportion to their length, so that the words
//! between pauses fit the runs' lengths best and sentences end at pauses: a dynamic programme over pauses and words.

use super::{Run, Token};
use crate::script::sentence;

/// Cost of a pause inside a sentence, where no punctuation calls for one, per second of pause.
const UNPUNCTUATED_PAUSE_COST: f64 = 2.5;
/// Cost of a sentence's end without a pause.
const UNPAUSED_STOP_COST: f64 = 0.6;

/// Start and end of each token in proportion to its length, in source seconds.
pub fn times(tokens: &[Token], runs: &[Run]) -> Vec<(f64, f64)> {
    let bounds = divide(tokens, runs);
    let mut times = Vec::with_capacity(tokens.len());
    for (run, pair) in runs.iter().zip(bounds.windows(2)) {
        let group = tokens.get(pair[0]..pair[1]).unwrap_or_default();
        let total: f64 = group.iter().map(|token| token.weight).sum();
        let mut at = run.start;
        for token in group {
            let next = at + run.secs() * token.weight / total.max(1.0);
            times.push((at, next.min(run.end)));
            at = next;
        }
    }
    times
}

/// Which words each run holds: `bounds[k]..bounds[k + 1]` are those of run k.
fn divide(tokens: &[Token], runs: &[Run]) -> Vec<usize> {
    let words = tokens.len();
    let mut said = vec![0.0; words + 1];
    for (i, token) in tokens.iter().enumerate() {
        said[i + 1] = said[i] + token.weight;
    }
    let secs_per_letter = runs.iter().map(Run::secs).sum::<f64>() / said[words].max(1.0);
    // cost[j]: best cost of having said the first j words by the end of the run at hand
    let mut cost = vec![f64::INFINITY; words + 1];
    cost[0] = 0.0;
    let mut came_from = Vec::with_capacity(runs.len());
    for (k, run) in runs.iter().enumerate() {
        let pause = runs.get(k + 1).map(|next| next.start - run.end);
        let mut next_cost = vec![f64::INFINITY; words + 1];
        let mut from = vec![0; words + 1];
        for j in 0..=words {
            if pause.is_none() && j < words {
                continue;
            }
            let boundary = boundary_cost(tokens, j, pause);
            let mut unpaused = 0.0;
            for i in (0..=j).rev() {
                // a sentence that ends inside the run has no pause after it
                if i + 1 < j && tokens[i].ends_sentence {
                    unpaused += UNPAUSED_STOP_COST;
                }
                let expected = (said[j] - said[i]) * secs_per_letter;
                let off = expected - run.secs();
                let fit = off * off / (0.05 + 0.15 * (expected + run.secs()));
                let total = cost[i] + fit + boundary + unpaused;
                if total < next_cost[j] {
                    next_cost[j] = total;
                    from[j] = i;
                }
            }
        }
        cost = next_cost;
        came_from.push(from);
    }
    let mut bounds = vec![words];
    for from in came_from.iter().rev() {
        let last = bounds[bounds.len() - 1];
        bounds.push(from[last]);
    }
    bounds.reverse();
    bounds
}

fn boundary_cost(tokens: &[Token], j: usize, pause: Option<f64>) -> f64 {
    let (Some(pause), Some(word)) = (pause, j.checked_sub(1).and_then(|i| tokens.get(i))) else { return 0.0 };
    let calls_for = if word.ends_sentence {
        0.0
    } else if sentence::ends_clause(&word.text) {
        0.3
    } else {
        1.0
    };
    calls_for * UNPUNCTUATED_PAUSE_COST * pause.min(1.0)
}
