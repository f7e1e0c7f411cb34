//! Average linkage over the directions' cosines, exact and in memory that grows with their number alone (nearest-neighbour
//! chains, Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011).

use super::group::dot;
use crate::speakers::embedding::Voice;
use crate::speakers::glimpse::Sample;

/// Two groups that become one.
pub struct Merge {
    /// A sample in the one.
    pub a: usize,
    /// A sample in the other.
    pub b: usize,
    /// One less the cosine of their means.
    pub distance: f32,
}

/// All merges of average linkage, in no order. Of groups of unit vectors the mean distance is one less the product of their
/// means, so that a group is its mean.
pub fn merges(samples: &[&Sample]) -> Vec<Merge> {
    let mut means: Vec<(usize, Voice, f32)> =
        samples.iter().enumerate().map(|(index, sample)| (index, sample.voice, 1.0)).collect();
    let (mut chain, mut merges): (Vec<(usize, f32)>, Vec<Merge>) = (Vec::new(), Vec::new());
    while means.len() > 1 {
        let Some((top, _)) = chain.last().copied() else {
            chain.push((0, f32::INFINITY));
            continue;
        };
        let before = chain.len().checked_sub(2).and_then(|at| chain.get(at)).copied();
        let Some((_, mean, _)) = means.get(top) else { break };
        // where it is as near, the one before: or the chain would go round
        let mut nearest = before.map_or((f32::INFINITY, usize::MAX), |(at, _)| {
            (means.get(at).map_or(f32::INFINITY, |(_, other, _)| 1.0 - dot(mean, other)), at)
        });
        for (at, (_, other, _)) in means.iter().enumerate() {
            let distance = 1.0 - dot(mean, other);
            if at != top && distance < nearest.0 {
                nearest = (distance, at);
            }
        }
        if before.is_none_or(|(at, _)| at != nearest.1) {
            chain.push((nearest.1, nearest.0));
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (keep, gone) = (top.min(nearest.1), top.max(nearest.1));
        // the last one takes the place of what goes; the chain has to know
        let last = means.len() - 1;
        let (index, other, weight) = means.swap_remove(gone);
        chain.iter_mut().filter(|(at, _)| *at == last).for_each(|(at, _)| *at = gone);
        if let Some((kept, mean, count)) = means.get_mut(keep) {
            merges.push(Merge { a: *kept, b: index, distance: nearest.0 });
            let total = *count + weight;
            mean.iter_mut().zip(&other).for_each(|(mean, other)| *mean = (*mean * *count + other * weight) / total);
            *count = total;
        }
    }
    merges
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::speakers::embedding::SIZE;

    /// A voice near one of the axes, none twice the same.
    pub fn sample(random: &mut fastrand::Rng, axis: usize, solo_secs: f32) -> Sample {
        let mut voice = [0.0; SIZE];
        voice.iter_mut().for_each(|value| *value = 0.03 * (random.f32() - 0.5));
        voice[axis] += 1.0;
        let length = dot(&voice, &voice).sqrt();
        Sample { voice: voice.map(|value| value / length), solo_secs }
    }

    #[test]
    fn the_chain_of_neighbours_finds_what_comparing_all_would() {
        let mut random = fastrand::Rng::with_seed(9);
        let samples: Vec<Sample> = (0..60).map(|index| sample(&mut random, index % 5, 2.0)).collect();
        let samples: Vec<&Sample> = samples.iter().collect();
        let mut found: Vec<f32> = merges(&samples).iter().map(|merge| merge.distance).collect();
        found.sort_by(f32::total_cmp);
        // average linkage by its definition
        let mut groups: Vec<Vec<&Sample>> = samples.iter().map(|sample| vec![*sample]).collect();
        for expected in found {
            let mean = |a: &[&Sample], b: &[&Sample]| {
                let pairs = a.iter().flat_map(|a| b.iter().map(|b| 1.0 - dot(&a.voice, &b.voice)));
                pairs.sum::<f32>() / (a.len() * b.len()) as f32
            };
            let pairs = (0..groups.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
            let (a, b) = pairs
                .min_by(|x, y| mean(&groups[x.0], &groups[x.1]).total_cmp(&mean(&groups[y.0], &groups[y.1])))
                .unwrap_or_default();
            assert!((mean(&groups[a], &groups[b]) - expected).abs() < 1e-4);
            let gone = groups.remove(b);
            groups[a].extend(gone);
        }
        assert_eq!(groups.len(), 1);
    }
}
