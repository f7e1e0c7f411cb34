//! Runs of speech packed into windows of at most 29 s, long pauses shortened, cut where it hurts least.

use std::collections::VecDeque;

use super::activity::Kind;

use super::{FRAME_SAMPLES, LEAD_FRAMES, Speech, TRAIL_FRAMES};
use crate::audio::{Found, SAMPLE_RATE_HZ, Span};

/// The longest window. Whisper hears 30 s; the last second leaves room for its end-of-speech silence.
pub const WINDOW_SAMPLES: usize = 29 * SAMPLE_RATE_HZ as usize;

/// Audio kept before the first and after the last speech of a window, 0.25 s: an onset the detector missed.
const MARGIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 4;

/// Of a pause within a window, this much is kept after the speech before it and before the speech after it, 0.4 s.
const PAUSE_SIDE_SAMPLES: usize = 2 * SAMPLE_RATE_HZ as usize / 5;

/// And more, 2 s at most, while something sounds there: it may be voice that was not known for one.
pub const KEPT_SOUND_SAMPLES: usize = 2 * SAMPLE_RATE_HZ as usize;

/// A pause from this length on is a better cut than any other place, 0.3 s: it ends a phrase, not a word.
const CUT_PAUSE_SAMPLES: u64 = 3 * SAMPLE_RATE_HZ as u64 / 10;

/// Where a pause to cut at is looked for: the last third.
const CUT_FROM: usize = WINDOW_SAMPLES / 3 * 2;

/// Where there is no pause, the quietest 0.1 s of the last 6 s is cut through.
const QUIET_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 10;
const QUIET_FROM: usize = WINDOW_SAMPLES - 6 * SAMPLE_RATE_HZ as usize;

/// A window with less voiced sound than this is a click, 0.1 s.
const LEAST_VOICED_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 10;

/// What labelling adds to each run.
const WIDENED_SAMPLES: usize = (LEAD_FRAMES + TRAIL_FRAMES) * FRAME_SAMPLES;

/// Builds windows from labelled frames.
pub struct Packer {
    /// What its windows are said to hold.
    found: Found,
    /// The window in the making; ends with speech.
    pcm: Vec<f32>,
    spans: Vec<Span>,
    /// Where the next frame lies in the source.
    position: u64,
    in_speech: bool,
    /// The window begins inside a run that was cut through: it holds speech, however little.
    goes_on: bool,
    /// The first part of the pause that is going on, and whether it has ended.
    pause_head: Vec<f32>,
    head_is_whole: bool,
    /// The last frames of the rest of the pause, and whether something sounds in each.
    pause_tail: VecDeque<(Vec<f32>, bool)>,
    /// Samples of sound that got into no window.
    unheard: u64,
    has_emitted: bool,
}

impl Packer {
    /// A packer whose first frame lies at `position` of the source.
    pub fn new(position: u64, found: Found) -> Self {
        Self {
            found,
            pcm: Vec::new(),
            spans: Vec::new(),
            position,
            in_speech: false,
            goes_on: false,
            pause_head: Vec::new(),
            head_is_whole: false,
            pause_tail: VecDeque::new(),
            unheard: 0,
            has_emitted: false,
        }
    }

    /// Takes the next frame; appends the window it completes to `out`.
    pub fn push(&mut self, frame: &[f32], kind: Kind, out: &mut Vec<Speech>) {
        if kind == Kind::Voice {
            if !self.in_speech {
                self.resume();
            }
            self.pcm.extend_from_slice(frame);
            if let Some(span) = self.spans.last_mut() {
                span.len += frame.len();
            }
        } else {
            self.pause(frame, kind == Kind::Sound);
        }
        self.in_speech = kind == Kind::Voice;
        self.position += frame.len() as u64;
        while self.pcm.len() > WINDOW_SAMPLES {
            self.cut(out);
        }
    }

    /// Ends the window in the making.
    pub fn flush(&mut self, out: &mut Vec<Speech>) {
        let sounds = self.pause_head.len() > PAUSE_SIDE_SAMPLES;
        let kept = if sounds { self.pause_head.len() } else { MARGIN_SAMPLES };
        let room = WINDOW_SAMPLES.saturating_sub(self.pcm.len()).min(kept);
        self.pcm.extend(self.pause_head.drain(..).take(room));
        self.head_is_whole = true;
        let (pcm, spans) = (std::mem::take(&mut self.pcm), std::mem::take(&mut self.spans));
        self.emit(pcm, spans, out);
    }

    /// Whether any window was complete so far.
    pub fn has_emitted(&self) -> bool {
        self.has_emitted
    }

    /// Samples of sound that got into no window so far.
    pub fn unheard(&self) -> u64 {
        self.unheard
    }

    fn pause(&mut self, frame: &[f32], sounds: bool) {
        let held = self.pause_head.len();
        self.head_is_whole |= held >= if sounds { KEPT_SOUND_SAMPLES } else { PAUSE_SIDE_SAMPLES };
        if !self.head_is_whole {
            self.pause_head.extend_from_slice(frame);
            return;
        }
        self.pause_tail.push_back((frame.to_vec(), sounds));
        if self.pause_tail.len() > KEPT_SOUND_SAMPLES / FRAME_SAMPLES
            && let Some((frame, sounds)) = self.pause_tail.pop_front()
        {
            self.unheard += if sounds { frame.len() as u64 } else { 0 };
        }
    }

    /// Speech begins: the pause before it becomes part of the window, or its margin.
    fn resume(&mut self) {
        let begins = self.spans.is_empty();
        let least = if begins { MARGIN_SAMPLES } else { PAUSE_SIDE_SAMPLES };
        let mut tail = 0;
        let mut first = self.pause_tail.len();
        for (frame, sounds) in self.pause_tail.iter().rev() {
            if tail >= least && !sounds {
                break;
            }
            tail += frame.len();
            first -= 1;
        }
        let head = if begins { least.saturating_sub(tail) } else { self.pause_head.len() };
        let skipped = self.pause_head.len().saturating_sub(head);
        self.pcm.extend(self.pause_head.drain(..).skip(skipped));
        for (n, (frame, sounds)) in self.pause_tail.drain(..).enumerate() {
            match n >= first {
                true => self.pcm.extend(frame),
                false => self.unheard += if sounds { frame.len() as u64 } else { 0 },
            }
        }
        self.head_is_whole = false;
        self.spans.push(Span { window_start: self.pcm.len(), source_start: self.position, len: 0 });
    }

    /// Cuts an overfull window and keeps the rest.
    fn cut(&mut self, out: &mut Vec<Speech>) {
        let (end, begin) = self.longest_pause().unwrap_or_else(|| {
            let at = self.quietest_place();
            (at, at)
        });
        let rest = self.pcm.split_off(begin.min(self.pcm.len()));
        self.pcm.truncate(end);
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut cut_through = false;
        for span in self.spans.drain(..) {
            let left = end.saturating_sub(span.window_start).min(span.len);
            if left > 0 {
                before.push(Span { len: left, ..span });
            }
            if left < span.len {
                cut_through |= left > 0;
                after.push(Span {
                    window_start: (span.window_start + left).saturating_sub(begin),
                    source_start: span.source_start + left as u64,
                    len: span.len - left,
                });
            }
        }
        let pcm = std::mem::replace(&mut self.pcm, rest);
        self.emit(pcm, before, out);
        self.goes_on = cut_through;
        self.spans = after;
        if self.spans.is_empty() {
            self.pcm.clear();
        }
    }

    /// Where to end the window and where to begin the next, around the longest pause of the last third.
    fn longest_pause(&self) -> Option<(usize, usize)> {
        let mut best = None;
        for (before, after) in self.spans.iter().zip(self.spans.iter().skip(1)) {
            let end = before.window_start + before.len;
            let pause = after.source_start - (before.source_start + before.len as u64);
            let longest_yet = best.is_none_or(|(longest, _)| pause >= longest);
            if (CUT_FROM..=WINDOW_SAMPLES).contains(&end) && pause >= CUT_PAUSE_SAMPLES && longest_yet {
                let kept = after.window_start - end;
                // where something sounds in the pause it is cut in the middle, and none of it is lost
                let margin = if kept > 2 * PAUSE_SIDE_SAMPLES { kept / 2 } else { MARGIN_SAMPLES.min(kept / 2) };
                best = Some((pause, ((end + margin).min(WINDOW_SAMPLES), after.window_start - margin)));
            }
        }
        best.map(|(_, cut)| cut)
    }

    /// The middle of the quietest 0.1 s.
    fn quietest_place(&self) -> usize {
        let searched = self.pcm.get(QUIET_FROM..WINDOW_SAMPLES).unwrap_or_default();
        let energy = |samples: &[f32]| samples.iter().map(|s| s * s).sum::<f32>();
        let hop = QUIET_SAMPLES / 10;
        let steps: Vec<f32> = searched.chunks(hop).map(energy).collect();
        let sums = steps.windows(10).map(|ten| ten.iter().sum::<f32>()).enumerate();
        let quietest = sums.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(step, _)| step);
        QUIET_FROM + quietest * hop + QUIET_SAMPLES / 2
    }

    /// A window, unless all it holds is a click.
    fn emit(&mut self, pcm: Vec<f32>, spans: Vec<Span>, out: &mut Vec<Speech>) {
        let voiced: usize = spans.iter().map(|span| span.len.saturating_sub(WIDENED_SAMPLES)).sum();
        if voiced >= LEAST_VOICED_SAMPLES || self.goes_on && !spans.is_empty() {
            self.has_emitted = true;
            out.push(Speech { pcm, spans, found: self.found });
        }
        self.goes_on = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_run_that_was_cut_through_is_heard_however_short() {
        // a second before the longest window's end the speaker falls silent for 0.1 s, without a pause
        let (quiet_from, quiet_to) = (WINDOW_SAMPLES - 2_000, WINDOW_SAMPLES - 400);
        let frames = WINDOW_SAMPLES / FRAME_SAMPLES + 2;
        let mut packer = Packer::new(0, Found::Voice);
        let mut out = Vec::new();
        for frame in 0..frames {
            let loud = |i: usize| if (quiet_from..quiet_to).contains(&(frame * FRAME_SAMPLES + i)) { 0.0 } else { 0.5 };
            packer.push(&std::array::from_fn::<f32, FRAME_SAMPLES, _>(loud), Kind::Voice, &mut out);
        }
        packer.flush(&mut out);
        let heard: usize = out.iter().flat_map(|window| &window.spans).map(|span| span.len).sum();
        assert_eq!((out.len(), heard), (2, frames * FRAME_SAMPLES));

        let mut click = Packer::new(0, Found::Voice);
        let mut out = Vec::new();
        click.push(&[0.5; FRAME_SAMPLES], Kind::Voice, &mut out);
        click.flush(&mut out);
        assert!(out.is_empty());
    }
}
