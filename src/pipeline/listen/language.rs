//! Which language a recording is in. Whisper guesses it for each window; one guess may be wrong, and a window without text
//! says nothing. So each channel's windows vote until one language has most of what they say, and from then on all are
//! transcribed in that. What was heard in another language by an uncertain guess is then heard again.
//!
//! Answers pass through in the order of their windows, and what becomes of one depends on those before and shortly after it
//! alone, whichever lane was faster: a resumed job hears what an uninterrupted one does.

use std::collections::{BTreeMap, VecDeque};

use super::answer::Answer;
use super::guess::{CERTAIN, is_certain, thousandths};
use crate::audio::Found;
use crate::transcribe::wire::WindowOptions;
use crate::transcript::Language;

/// Probability, in thousandths, from which on a window keeps its own language although another one wins later.
const SURE: u32 = 800;
/// Windows with text that decide. One may be an announcement in another language.
const DECIDING: u32 = 3;
/// Of their votes, in thousandths, the language that wins has at least so many together: three windows of noise agree by
/// chance.
const LEAST_VOTES: u32 = 1_000;
/// Answers that wait for the decision, at most; their samples are kept, 2 MB each.
const MOST_WAITING: usize = 8;

/// The languages of a job, as far as they are known.
#[derive(Default)]
pub struct Languages {
    /// One is to be found for each channel; else they are given, or may change from window to window.
    decides: bool,
    is_at_end: bool,
    channels: BTreeMap<Option<u16>, Channel>,
    /// In order, with whether they had a part in the decision.
    waiting: VecDeque<(Answer, bool)>,
}

#[derive(Default)]
struct Channel {
    votes: BTreeMap<String, Votes>,
    decided: Option<String>,
    /// Seconds of voice whose text was kept, by language.
    secs: BTreeMap<String, f64>,
}

#[derive(Default)]
struct Votes {
    windows: u32,
    thousandths: u32,
}

impl Languages {
    /// Of a job that asks for these windows, of a model that knows several languages or only English.
    pub fn new(options: &WindowOptions, is_multilingual: bool) -> Self {
        let is_open = options.language.is_none() && options.languages.is_empty();
        Self { decides: is_open && is_multilingual, ..Self::default() }
    }

    /// The language that was decided for the channel.
    pub fn decided(&self, channel: Option<u16>) -> Option<String> {
        self.channels.get(&channel)?.decided.clone()
    }

    /// Takes the next window's answer.
    pub fn hear(&mut self, answer: Answer) {
        let channel = self.channels.entry(answer.window.channel).or_default();
        let votes = channel.decided.is_none();
        if let Some((language, thousandths)) = answer.vote.as_ref().filter(|_| votes) {
            channel.count(language, *thousandths);
            channel.decided = channel.winner().filter(|_| self.decides);
        }
        self.waiting.push_back((answer, votes));
    }

    /// All answers were heard: what is not decided by now will not be.
    pub fn end(&mut self) {
        if self.is_at_end {
            return;
        }
        self.is_at_end = true;
        for channel in self.channels.values_mut().filter(|channel| self.decides && channel.decided.is_none()) {
            let leader = channel.leader().filter(|(_, votes)| votes.thousandths >= CERTAIN * votes.windows);
            channel.decided = leader.map(|(language, _)| language.to_owned());
        }
    }

    /// The next answer that need not wait, and the language in which its window is to be heard again.
    pub fn next(&mut self) -> Option<(Answer, Option<String>)> {
        let (answer, voted) = self.waiting.front()?;
        let Becomes { language, waits } = self.becomes(answer, *voted);
        if waits && !self.is_at_end && self.waiting.len() <= MOST_WAITING {
            return None;
        }
        let (mut answer, _) = self.waiting.pop_front()?;
        if language.is_none() && self.decided(answer.window.channel).as_ref() == Some(&answer.text.language) {
            // as if it had been asked for
            answer.text.language_probability = None;
        }
        Some((answer, language))
    }

    fn becomes(&self, answer: &Answer, voted: bool) -> Becomes {
        let (text, stands) = (&answer.text, Becomes { language: None, waits: false });
        // given or saved: what is saved has been here before
        // and what is no speech after all is heard once
        let is_noise = answer.window.found == Found::Sound && answer.is_dropped;
        if !self.decides || answer.saved || is_noise || text.language_probability.is_none() {
            return stands;
        }
        let is_sure = text.language_probability.is_some_and(|p| u32::from(thousandths(p)) >= SURE);
        if voted && is_sure && answer.vote.is_some() {
            return stands;
        }
        match self.decided(answer.window.channel) {
            None => Becomes { language: None, waits: true },
            // its second look was not told the language
            Some(decided) if decided == text.language && (is_certain(text) || voted || !answer.retried) => stands,
            Some(decided) => Becomes { language: Some(decided), waits: false },
        }
    }

    /// Counts what became of an answer.
    pub fn take(&mut self, answer: &Answer) {
        if answer.is_dropped || answer.text.pieces.is_empty() || answer.text.language.is_empty() {
            return;
        }
        let channel = self.channels.entry(answer.window.channel).or_default();
        *channel.secs.entry(answer.text.language.clone()).or_default() += answer.window.speech_secs();
    }

    /// The job's language: that of the channel on which most was said; `None` where nothing was.
    pub fn of_job(&self) -> Option<Language> {
        let mut secs: BTreeMap<&str, f64> = BTreeMap::new();
        for channel in self.channels.values() {
            for (language, of_it) in &channel.secs {
                let leader = channel.leader().filter(|_| self.decides).map(|(leader, _)| leader);
                let counts_for = channel.decided.as_deref().or(leader).unwrap_or(language);
                *secs.entry(counts_for).or_default() += of_it;
            }
        }
        let (code, _) = secs.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let votes = self.channels.values().filter_map(|channel| channel.votes.get(code));
        let (sum, windows) =
            votes.fold((0, 0), |(sum, windows), votes| (sum + votes.thousandths, windows + votes.windows));
        let probability = (windows > 0).then(|| f64::from(sum) / f64::from(windows) / 1000.0);
        Some(Language { code: code.to_owned(), probability })
    }
}

/// What becomes of an answer: whether it may change yet, and the language in which its window is to be heard again.
struct Becomes {
    language: Option<String>,
    waits: bool,
}

impl Channel {
    fn count(&mut self, language: &str, thousandths: u16) {
        let votes = self.votes.entry(language.to_owned()).or_default();
        votes.windows += 1;
        votes.thousandths += u32::from(thousandths);
    }

    /// The language with most votes; of two with as many the first of the alphabet.
    fn leader(&self) -> Option<(&str, &Votes)> {
        let best = self.votes.iter().rev().max_by_key(|(_, votes)| votes.thousandths)?;
        Some((best.0, best.1))
    }

    /// The leader, when enough windows have voted and most for it.
    fn winner(&self) -> Option<String> {
        let windows: u32 = self.votes.values().map(|votes| votes.windows).sum();
        let all: u32 = self.votes.values().map(|votes| votes.thousandths).sum();
        let (leader, votes) = self.leader()?;
        let sum = votes.thousandths;
        let wins = windows >= DECIDING && sum >= LEAST_VOTES && sum * 1000 >= CERTAIN * all;
        wins.then(|| leader.to_owned())
    }
}
