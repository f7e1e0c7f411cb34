//! Which token comes next: the most probable one, or for another reading of a window one drawn by a generator that the
//! window seeds. The same logits give the same text, in any lane of any worker.

use fastrand::Rng;

use super::vocabulary::Token;

/// A token and how sure the model is of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Its number.
    pub token: Token,
    /// Natural logarithm of its probability among the tokens that were allowed.
    pub logprob: f32,
}

/// Beyond this distance from the greatest logit (a billionth of its probability) all of a vocabulary together add less
/// than 0.0001.
const NEGLIGIBLE: f32 = 20.7;

/// Logits looked at together; the compiler makes vector instructions of it.
const LANES: usize = 16;

/// The most probable of the text tokens and the end of text: of the first `end_of_text + 1`. `forbidden` ones count as
/// impossible.
pub fn choose(logits: &[f32], end_of_text: Token, forbidden: &[Token]) -> Option<Choice> {
    let logits = logits.get(..usize::try_from(end_of_text).ok()? + 1)?;
    let best = most_probable(logits)?;
    if forbidden.contains(&best.token) {
        return most_probable(&without(logits, forbidden));
    }
    // seldom is a forbidden one the best: what they weigh is taken off instead of copying all logits for each token
    let weights = forbidden.iter().filter_map(|token| logits.get(usize::try_from(*token).ok()?));
    let top = *logits.get(usize::try_from(best.token).ok()?)?;
    let theirs: f32 = weights.map(|logit| (logit - top).exp()).sum();
    let all = (-best.logprob).exp();
    Some(Choice { logprob: -(all - theirs).max(1.0).ln(), ..best })
}

/// One of the same tokens at random, each as often as it is probable at a temperature: above 0 the less probable come up
/// too. Its log probability is that at temperature 1.
pub fn sample(
    logits: &[f32],
    end_of_text: Token,
    forbidden: &[Token],
    temperature: f32,
    random: &mut Rng,
) -> Option<Choice> {
    let allowed = without(logits.get(..usize::try_from(end_of_text).ok()? + 1)?, forbidden);
    let best = most_probable(&allowed)?;
    let top = *allowed.get(usize::try_from(best.token).ok()?)?;
    let weights: Vec<f32> = allowed.iter().map(|logit| ((logit - top) / temperature).exp()).collect();
    let mut left = random.f32() * weights.iter().sum::<f32>();
    let drawn = weights.iter().position(|weight| {
        left -= weight;
        *weight > 0.0 && left <= 0.0
    });
    let Some(drawn) = drawn else { return Some(best) };
    let logprob = best.logprob + allowed.get(drawn)? - top;
    Some(Choice { token: Token::try_from(drawn).ok()?, logprob })
}

/// The `count` most probable of the same tokens, in that order.
pub fn best(logits: &[f32], end_of_text: Token, forbidden: &[Token], count: usize) -> Vec<Choice> {
    let end = usize::try_from(end_of_text).unwrap_or_default() + 1;
    let allowed = without(logits.get(..end).unwrap_or_default(), forbidden);
    let all = log_sum_exp(&allowed);
    let mut best: Vec<Choice> = Vec::with_capacity(count + 1);
    for (logit, token) in allowed.iter().zip(0..) {
        let logprob = logit - all;
        if best.len() < count || best.last().is_some_and(|last| logprob > last.logprob) {
            let at = best.partition_point(|better| better.logprob >= logprob);
            best.insert(at, Choice { token, logprob });
            best.truncate(count);
        }
    }
    best
}

fn without(logits: &[f32], forbidden: &[Token]) -> Vec<f32> {
    let mut allowed = logits.to_vec();
    for token in forbidden {
        if let Some(logit) = usize::try_from(*token).ok().and_then(|index| allowed.get_mut(index)) {
            *logit = f32::NEG_INFINITY;
        }
    }
    allowed
}

fn most_probable(logits: &[f32]) -> Option<Choice> {
    let top = greatest(logits);
    let token = logits.iter().position(|logit| *logit == top)?;
    Some(Choice { token: Token::try_from(token).ok()?, logprob: top - log_sum_exp(logits) })
}

/// The probability of one token among all.
pub fn probability(logits: &[f32], token: Token) -> f32 {
    let logit = usize::try_from(token).ok().and_then(|index| logits.get(index));
    logit.map_or(0.0, |logit| (logit - log_sum_exp(logits)).exp())
}

/// The index of the greatest of some tokens' logits, and its probability among them.
pub fn most_probable_of(logits: &[f32], tokens: impl Iterator<Item = Token>) -> Option<(usize, f32)> {
    let some: Option<Vec<f32>> =
        tokens.map(|token| usize::try_from(token).ok().and_then(|index| logits.get(index)).copied()).collect();
    let choice = most_probable(&some?)?;
    Some((usize::try_from(choice.token).ok()?, choice.logprob.exp()))
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let top = greatest(logits);
    let near = logits.iter().filter(|logit| **logit > top - NEGLIGIBLE);
    top + near.map(|logit| (logit - top).exp()).sum::<f32>().ln()
}

fn greatest(logits: &[f32]) -> f32 {
    let (rows, rest) = logits.as_chunks::<LANES>();
    let mut top = [f32::NEG_INFINITY; LANES];
    for row in rows {
        for (top, logit) in top.iter_mut().zip(row) {
            *top = if *logit > *top { *logit } else { *top };
        }
    }
    top.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities of a vocabulary of three texts, the end of text (3) and two special tokens.
    fn logits(probabilities: [f32; 6]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() + 5.0).collect()
    }

    #[test]
    fn the_most_probable_text_is_chosen_whatever_special_tokens_say() {
        let choice = choose(&logits([0.1, 0.3, 0.0, 0.1, 0.4, 0.1]), 3, &[]).map(|c| (c.token, c.logprob.exp()));
        assert!(matches!(choice, Some((1, p)) if (p - 0.6).abs() < 1e-5), "{choice:?}");
    }

    #[test]
    fn a_forbidden_token_is_not_chosen_and_does_not_count() {
        let choice = choose(&logits([0.1, 0.3, 0.2, 0.1, 0.2, 0.1]), 3, &[1, 3]).map(|c| (c.token, c.logprob.exp()));
        assert!(matches!(choice, Some((2, p)) if (p - 2.0 / 3.0).abs() < 1e-5), "{choice:?}");
        // also where it would not have been chosen
        let choice = choose(&logits([0.1, 0.3, 0.2, 0.1, 0.2, 0.1]), 3, &[2, 3]).map(|c| (c.token, c.logprob.exp()));
        assert!(matches!(choice, Some((1, p)) if (p - 0.75).abs() < 1e-5), "{choice:?}");
    }

    #[test]
    fn drawn_tokens_are_as_frequent_as_they_are_probable_and_come_again_from_the_same_seed() {
        let logits = logits([0.1, 0.3, 0.2, 0.1, 0.2, 0.1]);
        let draw = |seed, temperature| -> Vec<Token> {
            let mut random = Rng::with_seed(seed);
            (0..1_000).filter_map(|_| Some(sample(&logits, 3, &[3], temperature, &mut random)?.token)).collect()
        };
        assert_eq!(draw(7, 1.0), draw(7, 1.0));
        assert_ne!(draw(7, 1.0), draw(8, 1.0));
        let counts = [0, 1, 2, 3].map(|token| draw(7, 1.0).into_iter().filter(|drawn| *drawn == token).count());
        assert!((450..550).contains(&counts[1]) && (130..210).contains(&counts[0]) && counts[3] == 0, "{counts:?}");
        assert!(draw(7, 0.05).into_iter().all(|token| token == 1));
    }

    #[test]
    fn probabilities_are_among_all_or_among_some() {
        let logits = logits([0.1, 0.3, 0.2, 0.1, 0.2, 0.1]);
        assert!((probability(&logits, 4) - 0.2).abs() < 1e-5);
        let choice = most_probable_of(&logits, 3..=5);
        assert!(matches!(choice, Some((1, p)) if (p - 0.5).abs() < 1e-5), "{choice:?}");
    }

    #[test]
    fn logits_that_are_no_numbers_choose_nothing() {
        assert_eq!(choose(&[f32::NAN; 40], 3, &[]), None);
        assert_eq!(choose(&[], 3, &[]), None);
        assert_eq!(sample(&[f32::NAN; 40], 3, &[], 0.4, &mut Rng::with_seed(1)), None);
    }
}
