//! Which voices are one speaker: average linkage over the directions' cosines, exact and in memory that grows with their
//! number alone (nearest-neighbour chains, Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011).

use super::embedding::{SIZE, Voice};
use super::glimpse::{Glimpse, Sample};
use super::segmentation::VOICES;
use crate::job::speakers::SpeakerCount;

/// Cosine distance up to which groups of voices are joined. This and what follows was found on conversations of readers of
/// LibriSpeech (ARCHITECTURE.md, "Who spoke").
const JOIN_DISTANCE: f32 = 0.30;
/// Cosine from which the middles of two groups are one speaker's.
const SAME_COSINE: f32 = 0.70;
/// Seconds alone from which on a voice is sure enough to found a group; where there are few such, the next.
const SURE_SECS: [f32; 3] = [2.0, 1.0, 0.5];
/// So many sure voices are enough.
const ENOUGH: usize = 4;
/// A speaker has at least this share of all speech, within the bounds of seconds that follow.
const LEAST_SHARE: f32 = 0.03;
const LEAST_SECS: (f32, f32) = (1.0, 4.0);

/// The speaker of each voice of each glimpse, and how many there are.
pub fn speakers(glimpses: &[Glimpse], count: SpeakerCount) -> (Vec<[Option<usize>; VOICES]>, usize) {
    let groups = groups(&sure(glimpses), count);
    (glimpses.iter().map(|glimpse| assign(&glimpse.voices, &groups)).collect(), groups.len())
}

/// The samples that speakers are made of.
fn sure(glimpses: &[Glimpse]) -> Vec<&Sample> {
    let of = |least: f32| -> Vec<&Sample> {
        let all = glimpses.iter().flat_map(|glimpse| glimpse.voices.iter().flatten());
        all.filter(|sample| sample.solo_secs >= least).collect()
    };
    let enough = SURE_SECS.into_iter().map(of).find(|sure| sure.len() >= ENOUGH);
    enough.unwrap_or_else(|| of(0.0))
}

/// Voices that are one speaker's.
#[derive(Debug, Clone)]
struct Group {
    /// Sum of the directions, each by its seconds.
    sum: Voice,
    secs: f32,
}

impl Group {
    fn absorb(&mut self, other: &Self) {
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, more)| *sum += more);
        self.secs += other.secs;
    }

    fn cosine(&self, other: &Voice) -> f32 {
        let length = (dot(&self.sum, &self.sum) * dot(other, other)).sqrt();
        if length > 0.0 { dot(&self.sum, other) / length } else { 0.0 }
    }
}

fn groups(samples: &[&Sample], count: SpeakerCount) -> Vec<Group> {
    let (least, most) = (usize::from(count.min.unwrap_or(1)), count.max.map_or(usize::MAX, usize::from));
    let mut merges = merges(samples);
    merges.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    let alike = merges.iter().take_while(|merge| merge.distance <= JOIN_DISTANCE).count();
    let taken = alike.min(samples.len().saturating_sub(least));
    let mut parents: Vec<usize> = (0..samples.len()).collect();
    for merge in merges.iter().take(taken) {
        let (a, b) = (root(&mut parents, merge.a), root(&mut parents, merge.b));
        if let Some(parent) = parents.get_mut(b) {
            *parent = a;
        }
    }
    let mut of_root: Vec<Option<Group>> = vec![None; samples.len()];
    for (index, sample) in samples.iter().enumerate() {
        let secs = sample.solo_secs.max(0.1);
        let one = Group { sum: sample.voice.map(|value| value * secs), secs };
        if let Some(slot) = of_root.get_mut(root(&mut parents, index)) {
            match slot {
                Some(group) => group.absorb(&one),
                None => *slot = Some(one),
            }
        }
    }
    let mut groups: Vec<Group> = of_root.into_iter().flatten().collect();
    join(&mut groups, |groups, cosine| groups > least && cosine >= SAME_COSINE);
    dissolve(&mut groups, least);
    join(&mut groups, |groups, _| groups > most);
    groups
}

/// Joins the two most alike as long as `goes_on`, told how many groups there are and how alike those two are.
fn join(groups: &mut Vec<Group>, goes_on: impl Fn(usize, f32) -> bool) {
    loop {
        let mut best: Option<(f32, usize, usize)> = None;
        for (b, second) in groups.iter().enumerate() {
            for (a, first) in groups.iter().enumerate().take(b) {
                let cosine = first.cosine(&second.sum);
                if best.is_none_or(|(most, ..)| cosine > most) {
                    best = Some((cosine, a, b));
                }
            }
        }
        let Some((_, a, b)) = best.filter(|(cosine, ..)| goes_on(groups.len(), *cosine)) else { return };
        let other = groups.remove(b);
        if let Some(group) = groups.get_mut(a) {
            group.absorb(&other);
        }
    }
}

/// What spoke too little to be a speaker belongs to the one it is most like.
fn dissolve(groups: &mut Vec<Group>, least: usize) {
    let all: f32 = groups.iter().map(|group| group.secs).sum();
    let enough = (LEAST_SHARE * all).clamp(LEAST_SECS.0, LEAST_SECS.1);
    while groups.len() > least.max(1) {
        let smallest = groups.iter().enumerate().min_by(|(_, a), (_, b)| a.secs.total_cmp(&b.secs));
        let Some(index) = smallest.filter(|(_, group)| group.secs < enough).map(|(index, _)| index) else { return };
        let small = groups.remove(index);
        if let Some(nearest) = nearest(groups, &small.sum).and_then(|at| groups.get_mut(at)) {
            nearest.absorb(&small);
        }
    }
}

fn nearest(groups: &[Group], voice: &Voice) -> Option<usize> {
    let cosines = groups.iter().map(|group| group.cosine(voice)).enumerate();
    cosines.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// The speakers of a window's voices, none of them twice where there are enough, so that the cosines' sum is greatest.
fn assign(voices: &[Option<Sample>; VOICES], groups: &[Group]) -> [Option<usize>; VOICES] {
    let here: Vec<(usize, Vec<f32>)> = voices
        .iter()
        .enumerate()
        .filter_map(|(at, sample)| {
            let voice = &sample.as_ref()?.voice;
            Some((at, groups.iter().map(|group| group.cosine(voice)).collect()))
        })
        .collect();
    let mut best = (f32::NEG_INFINITY, [None; VOICES]);
    if here.len() <= groups.len() {
        search(&here, 0.0, [None; VOICES], &mut best);
        return best.1;
    }
    let mut all = [None; VOICES];
    for (at, cosines) in &here {
        let most = cosines.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some(slot) = all.get_mut(*at) {
            *slot = most.map(|(index, _)| index);
        }
    }
    all
}

fn search(
    here: &[(usize, Vec<f32>)],
    sum: f32,
    taken: [Option<usize>; VOICES],
    best: &mut (f32, [Option<usize>; VOICES]),
) {
    let Some(((at, cosines), rest)) = here.split_first() else {
        if sum > best.0 {
            *best = (sum, taken);
        }
        return;
    };
    for (speaker, cosine) in cosines.iter().enumerate().filter(|(speaker, _)| !taken.contains(&Some(*speaker))) {
        let mut taken = taken;
        if let Some(slot) = taken.get_mut(*at) {
            *slot = Some(speaker);
        }
        search(rest, sum + cosine, taken, best);
    }
}

/// Two groups that become one.
struct Merge {
    /// A sample in the one.
    a: usize,
    /// A sample in the other.
    b: usize,
    distance: f32,
}

/// All merges of average linkage, in no order. Of groups of unit vectors the mean distance is one less the product of their
/// means, so that a group is its mean.
fn merges(samples: &[&Sample]) -> Vec<Merge> {
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

fn root(parents: &mut [usize], of: usize) -> usize {
    let mut at = of;
    while let Some(parent) = parents.get(at).copied().filter(|parent| *parent != at) {
        at = parent;
    }
    if let Some(parent) = parents.get_mut(of) {
        *parent = at;
    }
    at
}

/// In eight sums side by side, which a processor adds at once.
fn dot(a: &Voice, b: &Voice) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    const { assert!(SIZE.is_multiple_of(8)) };
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A voice near one of the axes, none twice the same.
    fn sample(random: &mut fastrand::Rng, axis: usize, solo_secs: f32) -> Sample {
        let mut voice = [0.0; SIZE];
        voice.iter_mut().for_each(|value| *value = 0.03 * (random.f32() - 0.5));
        voice[axis] += 1.0;
        let length = dot(&voice, &voice).sqrt();
        Sample { voice: voice.map(|value| value / length), solo_secs }
    }

    fn conversation(speakers: usize, windows: usize) -> Vec<Glimpse> {
        let mut random = fastrand::Rng::with_seed(7);
        let glimpse = |index: usize| {
            let mut voices = [const { None }; VOICES];
            voices[index % VOICES] = Some(sample(&mut random, index % speakers, 3.0));
            voices[(index + 1) % VOICES] = Some(sample(&mut random, (index + 1) % speakers, 0.3));
            Glimpse { start: 0, activity: Vec::new(), voices }
        };
        (0..windows).map(glimpse).collect()
    }

    #[test]
    fn every_voice_finds_its_speaker_and_no_window_has_one_twice() {
        for speakers in [2, 3, 8] {
            let (labels, count) = super::speakers(&conversation(speakers, 40), SpeakerCount::default());
            assert_eq!(count, speakers);
            let label = |window: usize, voice: usize| labels[window][voice % VOICES];
            for window in 0..40 {
                assert_eq!(label(window, window), label(window % speakers, window % speakers), "window {window}");
                assert_eq!(label(window, window + 1), label((window + 1) % speakers, (window + 1) % speakers));
                assert_ne!(label(window, window), label(window, window + 1));
            }
        }
    }

    #[test]
    fn a_number_of_speakers_that_is_known_is_kept_to() {
        let bound = |min, max| SpeakerCount { min, max };
        let count = |bounds| super::speakers(&conversation(4, 40), bounds).1;
        assert_eq!(count(bound(None, Some(2))), 2);
        assert_eq!(count(bound(Some(6), None)), 6);
        assert_eq!(count(bound(Some(1), Some(1))), 1);
        assert_eq!(count(bound(Some(2), Some(9))), 4);
    }

    #[test]
    fn who_says_next_to_nothing_is_no_speaker_and_nobody_is_none() {
        let mut glimpses = conversation(2, 40);
        let mut random = fastrand::Rng::with_seed(8);
        glimpses[3].voices[2] = Some(sample(&mut random, 100, 0.9));
        assert_eq!(super::speakers(&glimpses, SpeakerCount::default()).1, 2);
        assert_eq!(super::speakers(&[], SpeakerCount::default()), (Vec::new(), 0));
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
