//! Cues that can be read: as many lines and columns as the job allows, seldom shorter than it wants, never longer, never two
//! at once.

use std::ops::Range;

use crate::job::subtitles::Subtitles;
use crate::script::{line, sentence};
use crate::transcript::paragraph::speaker;
use crate::transcript::{Segment, Transcript, Word, words};

/// Columns; fewer, left over for a cue of their own, would flash by.
const ORPHAN_COLUMNS: usize = 16;

/// One subtitle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Milliseconds from the start of the audio.
    pub start_ms: u64,
    /// Milliseconds, after `start_ms` and not after the next cue's start or the audio's end.
    pub end_ms: u64,
    /// At least one.
    pub lines: Vec<String>,
    /// Who speaks, where speakers have numbers.
    pub voice: Option<String>,
}

/// Where it stands who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// In the text, where the speaker changes.
    InText,
    /// In [`Cue::voice`] alone, where speakers have numbers.
    Apart,
}

/// The transcript's cues in order. Where channels are separate, each segment's first cue names its channel, and a cue
/// ends when another channel's begins. A cue is only dropped where more of them meet than there are milliseconds.
pub fn cues(transcript: &Transcript, naming: Naming) -> Vec<Cue> {
    let options = transcript.subtitles();
    let mut cues: Vec<Cue> = Vec::new();
    let mut before = None;
    for segment in &transcript.segments {
        let label = match (segment.speaker, naming) {
            (Some(_), Naming::Apart) => None,
            (Some(_), Naming::InText) if before == Some((segment.channel, segment.speaker)) => None,
            _ => speaker(segment),
        };
        before = Some((segment.channel, segment.speaker));
        let voice = segment.speaker.and_then(|_| speaker(segment));
        let of_segment = Layout::of(segment, label, transcript.written_in(segment), options).cues();
        cues.extend(of_segment.into_iter().map(|cue| Cue { voice: voice.clone(), ..cue }));
    }
    cues.sort_by_key(|cue| cue.start_ms);
    timed(cues, (transcript.audio.duration.max(0.0) * 1000.0) as u64, &options)
}

/// A segment's words, the columns they take when all of them stand on one line, and where sentences end.
struct Layout {
    words: Vec<Word>,
    columns: Vec<Range<usize>>,
    ends_sentence: Vec<bool>,
    options: Subtitles,
}

impl Layout {
    fn of(segment: &Segment, label: Option<String>, language: &str, options: Subtitles) -> Self {
        let mut all = words::timed(segment);
        let mut text = segment.text.clone();
        if let Some(label) = label {
            let label = format!("{label}:");
            text = format!("{label} {text}");
            all.insert(
                0,
                Word { start: segment.start, end: segment.start, word: label, probability: 1.0, speaker: None },
            );
        }
        let words: Vec<Word> = all.into_iter().flat_map(|word| words::pieces(word, options.line_chars)).collect();
        let texts: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
        let mut columns: Vec<Range<usize>> = Vec::with_capacity(words.len());
        for (word, space) in texts.iter().zip(line::spaces(&text, texts.iter().copied())) {
            let start = columns.last().map_or(0, |range| range.end) + usize::from(space);
            columns.push(start..start + line::width(word));
        }
        let ends_sentence = sentence::ends(&texts, language);
        Self { words, columns, ends_sentence, options }
    }

    fn cues(self) -> Vec<Cue> {
        let mut cues = Vec::new();
        let mut from = 0;
        while from < self.words.len() {
            let to = self.end_of_cue(from);
            cues.push(self.cue(from..to));
            from = to;
        }
        cues
    }

    fn cue(&self, range: Range<usize>) -> Cue {
        let mut lines = Vec::new();
        let mut from = range.start;
        for end in self.line_breaks(&range, self.options.lines).unwrap_or_default().into_iter().chain([range.end]) {
            lines.push(from..end);
            from = end;
        }
        Cue {
            start_ms: self.start_ms(range.start),
            end_ms: self.end_ms(range.end),
            lines: lines.into_iter().filter(|line| !line.is_empty()).map(|line| self.line(line)).collect(),
            voice: None,
        }
    }

    fn line(&self, range: Range<usize>) -> String {
        let mut line = String::new();
        for at in range {
            let (Some(word), Some(columns)) = (self.words.get(at), self.columns.get(at)) else { break };
            let before = at.checked_sub(1).and_then(|before| self.columns.get(before)).map_or(0, |columns| columns.end);
            if columns.start > before && !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word.word);
        }
        line
    }

    /// The cue that starts with word `from` ends before the word returned: after punctuation if it can, else so that
    /// the rest of the segment falls into cues of about the same length.
    fn end_of_cue(&self, from: usize) -> usize {
        let rest = self.width(&(from..self.words.len()));
        let max_ms = ms(self.options.max_secs).max(1);
        let time_ms = self.end_ms(self.words.len()).saturating_sub(self.start_ms(from));
        let cues_left = rest.div_ceil(self.options.cue_chars()).max(time_ms.div_ceil(max_ms) as usize).max(1);
        let target = rest as f64 / cues_left as f64;
        let (mut best, mut best_score) = (from + 1, f64::NEG_INFINITY);
        for to in from + 1..=self.words.len() {
            let range = from..to;
            let lasts_ms = self.end_ms(to).saturating_sub(self.start_ms(from));
            // the first word is taken whatever it is: there has to be progress
            if to > from + 1 && (lasts_ms > max_ms || self.line_breaks(&range, self.options.lines).is_none()) {
                return best;
            }
            let unevenness = (self.width(&range) as f64 - target).abs() / target.max(1.0);
            let orphans = if self.width(&(to..self.words.len())) < ORPHAN_COLUMNS { 1.0 } else { 0.0 };
            let score = self.punctuation(to) - unevenness - orphans;
            if score > best_score {
                (best, best_score) = (to, score);
            }
        }
        // all that is left fits
        self.words.len()
    }

    /// Where lines start after the first: none where one is enough, `None` where so many are not.
    fn line_breaks(&self, range: &Range<usize>, lines: usize) -> Option<Vec<usize>> {
        if self.width(range) <= self.options.line_chars {
            return Some(Vec::new());
        }
        match lines {
            0 | 1 => None,
            2 => self.line_break(range).map(|middle| vec![middle]),
            _ => {
                // the first line as long as can be: what is left falls into the others
                let fits = |end: &usize| self.width(&(range.start..*end)) <= self.options.line_chars;
                let end = (range.start + 1..range.end).take_while(fits).last()?;
                let others = self.line_breaks(&(end..range.end), lines - 1)?;
                Some([end].into_iter().chain(others).collect())
            }
        }
    }

    /// Where the second line of two starts: after punctuation if it can, else in the middle. `None` when two are not enough.
    fn line_break(&self, range: &Range<usize>) -> Option<usize> {
        let unevenness = |middle: usize| {
            let (first, second) = (self.width(&(range.start..middle)), self.width(&(middle..range.end)));
            let fits = first.max(second) <= self.options.line_chars;
            fits.then(|| first.abs_diff(second) as f64 - 30.0 * self.punctuation(middle))
        };
        let breaks = (range.start + 1..range.end).filter_map(|middle| Some((unevenness(middle)?, middle)));
        breaks.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, middle)| middle)
    }

    /// How good it is to break after the word before `at`.
    fn punctuation(&self, at: usize) -> f64 {
        let Some(last) = at.checked_sub(1) else { return 0.0 };
        match self.words.get(last) {
            Some(_) if self.ends_sentence.get(last) == Some(&true) => 0.6,
            Some(word) if sentence::ends_clause(&word.word) => 0.35,
            _ => 0.0,
        }
    }

    fn width(&self, range: &Range<usize>) -> usize {
        let start = self.columns.get(range.start).map_or(0, |columns| columns.start);
        let end = range.end.checked_sub(1).and_then(|last| self.columns.get(last)).map_or(0, |columns| columns.end);
        end.saturating_sub(start)
    }

    fn start_ms(&self, from: usize) -> u64 {
        self.words.get(from).map_or(0, |word| ms(word.start))
    }

    fn end_ms(&self, to: usize) -> u64 {
        to.checked_sub(1).and_then(|last| self.words.get(last)).map_or(0, |word| ms(word.end))
    }
}

/// Gives sorted cues times at which each can be seen: in order, one at a time, within the audio.
fn timed(cues: Vec<Cue>, audio_ms: u64, options: &Subtitles) -> Vec<Cue> {
    let (min_ms, max_ms) = (ms(options.min_secs), ms(options.max_secs));
    let mut seen: Vec<Cue> = Vec::with_capacity(cues.len());
    let mut coming = cues.into_iter().peekable();
    while let Some(mut cue) = coming.next() {
        let floor = seen.last().map_or(0, |before| before.end_ms);
        let start = cue.start_ms.max(floor).min(audio_ms);
        let columns: usize = cue.lines.iter().map(|line| line::width(line)).sum();
        let read_ms = ms(columns as f64 / options.chars_per_sec);
        let mut end = cue.end_ms.max(start + read_ms).clamp(start + min_ms, start + max_ms);
        if let Some(next) = coming.peek() {
            // a cue short of its second takes it from the next one, though at most half of what both have
            let shared = (start + min_ms).min(start + next.end_ms.saturating_sub(start) / 2);
            end = end.min(next.start_ms.max(shared));
        }
        cue.end_ms = end.min(audio_ms);
        // what is still short may begin early, where nothing else is seen
        cue.start_ms = start.min(cue.end_ms.saturating_sub(min_ms)).max(floor.min(start));
        if cue.start_ms < cue.end_ms || squeeze(seen.last_mut(), &mut cue) {
            seen.push(cue);
        }
    }
    seen
}

/// Makes room for a cue that has none, at the end of the audio or where several start together, by sharing the time of the
/// one before it. False when that has no millisecond to spare.
fn squeeze(before: Option<&mut Cue>, cue: &mut Cue) -> bool {
    let Some(before) = before else { return false };
    let chars = |cue: &Cue| cue.lines.iter().map(|line| line.chars().count() as u64).sum::<u64>();
    let (theirs, ours) = (chars(before), chars(cue));
    let boundary = before.start_ms + (before.end_ms - before.start_ms) * theirs / (theirs + ours).max(1);
    if boundary == before.start_ms || boundary == before.end_ms {
        return false;
    }
    (cue.start_ms, cue.end_ms) = (boundary, before.end_ms);
    before.end_ms = boundary;
    true
}

fn ms(secs: f64) -> u64 {
    // a cast saturates: what is negative is 0
    (secs * 1000.0).round() as u64
}

#[cfg(test)]
mod tests;
