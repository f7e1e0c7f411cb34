//! Runs of speech packed into windows of at most 29 s, long pauses shortened, cut where it hurts least.

use std::collections::VecDeque;

use super::{FRAME_SAMPLES, LEAD_FRAMES, Speech, TRAIL_FRAMES};
use crate::audio::{SAMPLE_RATE_HZ, Span};

/// The longest window. Whisper hears 30 s; the last second leaves room for its end-of-speech silence.
pub const WINDOW_SAMPLES: usize = 29 * SAMPLE_RATE_HZ as usize;

/// Audio kept before the first and after the last speech of a window, 0.25 s: an onset the detector missed.
const MARGIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 4;

/// Of a pause within a window, this much is kept after the speech before it and before the speech after it, 0.4 s.
const PAUSE_SIDE_SAMPLES: usize = 2 * SAMPLE_RATE_HZ as usize / 5;

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
    /// The window in the making; ends with speech.
    pcm: Vec<f32>,
    spans: Vec<Span>,
    /// Where the next frame lies in the source.
    position: u64,
    in_speech: bool,
    /// The window begins inside a run that was cut through: it holds speech, however little.
    goes_on: bool,
    /// The first part of the pause that is going on, and the last part of the rest of it.
    pause_head: Vec<f32>,
    pause_tail: VecDeque<f32>,
}

impl Packer {
    /// A packer whose first frame lies at `position` of the source.
    pub fn new(position: u64) -> Self {
        Self {
            pcm: Vec::new(),
            spans: Vec::new(),
            position,
            in_speech: false,
            goes_on: false,
            pause_head: Vec::new(),
            pause_tail: VecDeque::new(),
        }
    }

    /// Takes the next frame; appends the window it completes to `out`.
    pub fn push(&mut self, frame: &[f32], speech: bool, out: &mut Vec<Speech>) {
        if speech {
            if !self.in_speech {
                self.resume();
            }
            self.pcm.extend_from_slice(frame);
            if let Some(span) = self.spans.last_mut() {
                span.len += frame.len();
            }
        } else {
            self.pause(frame);
        }
        self.in_speech = speech;
        self.position += frame.len() as u64;
        while self.pcm.len() > WINDOW_SAMPLES {
            self.cut(out);
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self, out: &mut Vec<Speech>) {
        let room = WINDOW_SAMPLES.saturating_sub(self.pcm.len()).min(MARGIN_SAMPLES);
        self.pcm.extend(self.pause_head.drain(..).chain(self.pause_tail.drain(..)).take(room));
        let (pcm, spans) = (std::mem::take(&mut self.pcm), std::mem::take(&mut self.spans));
        self.emit(pcm, spans, out);
    }

    fn pause(&mut self, frame: &[f32]) {
        let (head, tail) = frame.split_at(frame.len().min(PAUSE_SIDE_SAMPLES - self.pause_head.len()));
        self.pause_head.extend_from_slice(head);
        self.pause_tail.extend(tail);
        let surplus = self.pause_tail.len().saturating_sub(PAUSE_SIDE_SAMPLES);
        self.pause_tail.drain(..surplus);
    }

    /// Speech begins: the pause before it becomes part of the window, or its margin.
    fn resume(&mut self) {
        let kept = self.pause_head.len() + self.pause_tail.len();
        let skipped = if self.spans.is_empty() { kept.saturating_sub(MARGIN_SAMPLES) } else { 0 };
        self.pcm.extend(self.pause_head.drain(..).chain(self.pause_tail.drain(..)).skip(skipped));
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
                let margin = MARGIN_SAMPLES.min((after.window_start - end) / 2);
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
            out.push(Speech { pcm, spans });
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
        let mut packer = Packer::new(0);
        let mut out = Vec::new();
        for frame in 0..frames {
            let loud = |i: usize| if (quiet_from..quiet_to).contains(&(frame * FRAME_SAMPLES + i)) { 0.0 } else { 0.5 };
            packer.push(&std::array::from_fn::<f32, FRAME_SAMPLES, _>(loud), true, &mut out);
        }
        packer.finish(&mut out);
        let heard: usize = out.iter().flat_map(|window| &window.spans).map(|span| span.len).sum();
        assert_eq!((out.len(), heard), (2, frames * FRAME_SAMPLES));

        let mut click = Packer::new(0);
        let mut out = Vec::new();
        click.push(&[0.5; FRAME_SAMPLES], true, &mut out);
        click.finish(&mut out);
        assert!(out.is_empty());
    }
}
