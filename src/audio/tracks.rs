//! Which audio track of several is transcribed: the one marked for it, else the first with sound.

use super::container::Track;
use crate::fault::Code;
use crate::transcript::{AudioTrack, Warning};

/// The track that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its place among the audio tracks.
    pub index: usize,
    /// The marked one, that it was taken instead of.
    instead_of: Option<usize>,
}

/// Chooses among the tracks of a file; `has_sound` decodes one until there is some.
pub fn choose(tracks: &[Track], has_sound: impl Fn(usize) -> bool) -> Choice {
    let readable = |index: &usize| tracks.get(*index).is_some_and(|track| !track.is_encrypted);
    // where all are marked, as containers do that know no marks, none is
    let marked = tracks.iter().position(|track| track.is_default).filter(|_| !tracks.iter().all(|t| t.is_default));
    let first = marked.or_else(|| (0..tracks.len()).find(readable)).unwrap_or(0);
    if tracks.len() < 2 || has_sound(first) {
        return Choice { index: first, instead_of: None };
    }
    let other = (0..tracks.len()).filter(|index| *index != first).filter(readable).find(|index| has_sound(*index));
    match other {
        Some(index) => Choice { index, instead_of: marked },
        None => Choice { index: first, instead_of: None },
    }
}

impl Choice {
    /// The tracks as the transcript lists them; none where there is only one.
    pub fn listed(&self, tracks: &[Track]) -> Vec<AudioTrack> {
        if tracks.len() < 2 {
            return Vec::new();
        }
        let list = tracks.iter().enumerate().map(|(index, track)| AudioTrack {
            number: index as u32 + 1,
            codec: track.codec.clone(),
            channels: (track.channels > 0).then_some(track.channels),
            language: track.language.clone(),
            title: track.title.clone(),
            default: track.is_default,
            transcribed: index == self.index,
        });
        list.collect()
    }

    /// What is to be said of a choice that the file's maker may not have meant.
    pub fn warning(&self, is_silent: bool, tracks: &[Track]) -> Option<Warning> {
        let named = |index: usize| {
            let track = tracks.get(index);
            let title = track.and_then(|track| track.title.as_deref()).map(|title| format!(" ({title})"));
            format!("audio track {}{}", index + 1, title.unwrap_or_default())
        };
        let message = match self.instead_of {
            Some(marked) => {
                format!("{}, the default, is silent: {} was transcribed", named(marked), named(self.index))
            }
            None if is_silent && tracks.len() > 1 => {
                let others: Vec<_> = (0..tracks.len()).filter(|i| *i != self.index).map(named).collect();
                format!("{} is silent, and nothing was found in {}", named(self.index), others.join(", "))
            }
            None => return None,
        };
        Some(Warning { code: Code::SilentTrack, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(defaults: &[bool]) -> Vec<Track> {
        defaults.iter().map(|is_default| Track { is_default: *is_default, ..Track::default() }).collect()
    }

    #[test]
    fn the_marked_track_is_taken_else_the_first_with_sound() {
        let index =
            |defaults: &[bool], sounding: &[usize]| choose(&tracks(defaults), |index| sounding.contains(&index)).index;
        assert_eq!(index(&[false, true], &[0, 1]), 1);
        // marks on all, or on none, say nothing
        assert_eq!(index(&[true, true], &[1]), 1);
        assert_eq!(index(&[false, false], &[0, 1]), 0);
        assert_eq!(index(&[false, false, false], &[2]), 2);
        assert_eq!(index(&[false, false], &[]), 0);
    }

    #[test]
    fn a_silent_choice_is_told() {
        let marked = tracks(&[true, false]);
        let choice = choose(&marked, |index| index == 1);
        assert_eq!(choice.index, 1);
        let told = choice.warning(false, &marked).map(|warning| warning.message).unwrap_or_default();
        assert!(told.contains("audio track 1, the default, is silent: audio track 2"), "{told}");
        let all_silent = choose(&marked, |_| false);
        assert!(all_silent.warning(true, &marked).is_some() && all_silent.warning(false, &marked).is_none());
        let plain = choose(&tracks(&[false, false]), |index| index == 1);
        assert_eq!(plain.warning(false, &marked), None);
    }
}
