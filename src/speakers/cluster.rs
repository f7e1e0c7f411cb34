//! Which voices are one speaker.

use std::ops::Range;

use super::embedding::Voice;
use super::glimpse::{Glimpse, Run, Sample};
use super::segmentation::VOICES;
use crate::job::speakers::{self, SpeakerCount};
use group::{Group, MOST, dissolve, join};
use linkage::merges;

mod group;
mod linkage;

/// Cosine distance up to which groups of voices are joined. This and what follows was found on conversations of readers of
/// LibriSpeech (benches/RESULTS.md, "Who spoke").
const JOIN_DISTANCE: f32 = 0.50;
/// The same where nothing sounds above the telephone's band: voices are more alike then.
const NARROW_JOIN_DISTANCE: f32 = 0.40;
/// Cosine from which the middles of two groups are one speaker's.
const SAME_COSINE: f32 = 0.70;
/// By so much a run is more like one speaker than like any other, or it is not known whose it is.
const SURELY: f32 = 0.10;
/// Seconds alone from which on a voice is sure enough to found a group; where there are few such, the next.
const SURE_SECS: [f32; 3] = [2.0, 1.0, 0.5];
/// So many sure voices are enough.
const ENOUGH: usize = 4;
/// A speaker has at least this share of all speech, within the bounds of seconds that follow.
const LEAST_SHARE: f32 = 0.03;
const LEAST_SECS: (f32, f32) = (1.0, 7.0);

/// Who is who.
pub struct Speakers {
    /// How many there are.
    pub count: usize,
    /// The speaker of each voice of each glimpse.
    pub voices: Vec<[Option<usize>; VOICES]>,
    /// Of each glimpse the runs that are surely a speaker's: frames of the source, and whose.
    pub runs: Vec<Vec<(Range<usize>, usize)>>,
}

/// The speakers of a stream.
pub fn speakers(glimpses: &[Glimpse], count: SpeakerCount) -> Speakers {
    let narrow = glimpses.iter().filter(|glimpse| glimpse.is_narrow).count();
    let distance = if 2 * narrow > glimpses.len() { NARROW_JOIN_DISTANCE } else { JOIN_DISTANCE };
    let groups = groups(&sure(glimpses), distance, count);
    let voices = glimpses.iter().map(|glimpse| assign(&glimpse.voices, &groups)).collect();
    let of = |glimpse: &Glimpse| {
        let first = glimpse.first_frame();
        let runs = glimpse.runs.iter();
        runs.filter_map(|Run { frames, voice }| {
            Some((first + frames.start..first + frames.end, whose(voice, &groups)?))
        })
        .collect()
    };
    Speakers { count: groups.len(), voices, runs: glimpses.iter().map(of).collect() }
}

/// The speaker that a run is surely of.
fn whose(voice: &Voice, groups: &[Group]) -> Option<usize> {
    let mut cosines: Vec<(usize, f32)> = groups.iter().map(|group| group.cosine(voice)).enumerate().collect();
    cosines.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let (speaker, most) = *cosines.first()?;
    let next = cosines.get(1).map_or(f32::NEG_INFINITY, |(_, next)| *next);
    (most - next >= SURELY).then_some(speaker)
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

fn groups(samples: &[&Sample], distance: f32, count: SpeakerCount) -> Vec<Group> {
    let (least, most) = (usize::from(count.min.unwrap_or(1)), usize::from(count.max.unwrap_or(speakers::MOST)));
    let mut merges = merges(samples);
    merges.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    let alike = merges.iter().take_while(|merge| merge.distance <= distance).count();
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
    dissolve(&mut groups, |groups, _| groups > MOST);
    join(&mut groups, |groups, cosine| groups > least && cosine >= SAME_COSINE);
    let all: f32 = groups.iter().map(|group| group.secs).sum();
    let enough = (LEAST_SHARE * all).clamp(LEAST_SECS.0, LEAST_SECS.1);
    dissolve(&mut groups, |groups, secs| groups > least && secs < enough);
    join(&mut groups, |groups, _| groups > most);
    groups
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

#[cfg(test)]
mod tests {
    use super::linkage::tests::sample;
    use super::*;

    fn conversation(speakers: usize, windows: usize) -> Vec<Glimpse> {
        let mut random = fastrand::Rng::with_seed(7);
        let glimpse = |index: usize| {
            let mut voices = [const { None }; VOICES];
            voices[index % VOICES] = Some(sample(&mut random, index % speakers, 3.0));
            voices[(index + 1) % VOICES] = Some(sample(&mut random, (index + 1) % speakers, 0.3));
            Glimpse { voices, ..Glimpse::silent(0) }
        };
        (0..windows).map(glimpse).collect()
    }

    #[test]
    fn every_voice_finds_its_speaker_and_no_window_has_one_twice() {
        for speakers in [2, 3, 8] {
            let Speakers { voices: labels, count, .. } =
                super::speakers(&conversation(speakers, 40), SpeakerCount::default());
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
        let count = |bounds| super::speakers(&conversation(4, 40), bounds).count;
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
        assert_eq!(super::speakers(&glimpses, SpeakerCount::default()).count, 2);
        assert_eq!(super::speakers(&[], SpeakerCount::default()).count, 0);
    }
}
