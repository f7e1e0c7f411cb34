//! One window on its way through the decoder: which token comes next, and what the logits after it mean.

use std::collections::VecDeque;

use fastrand::Rng;

use super::batch::Place;
use super::greedy::{self, Choice};
use super::pieces;
use super::rules::{MAX_TOKENS, Rules};
use super::vocabulary::{Token, Vocabulary};
use crate::job::Task;
use crate::job::language::LANGUAGES;
use crate::transcribe::wire::{WindowOptions, WindowText};

/// Half of Whisper's text context is for the prompt, less the tokens of the task.
const MAX_PROMPT_TOKENS: usize = 200;

/// Of another reading of a window: high enough to leave a loop, low enough to stay with what was said.
const TEMPERATURE: f32 = 0.4;

/// So many tokens that are known are decoded at once, before the others of the batch go on; fewer go with them.
const FED_AT_ONCE: usize = 8;

/// A window that is decoded.
#[derive(Debug)]
pub struct Row {
    /// Where, and how far it is.
    pub place: Place,
    /// What is decoded next.
    pub token: Token,
    /// And after it, before anything is chosen.
    feed: VecDeque<Token>,
    stage: Stage,
    /// Whisper's number of the language.
    language: usize,
    language_probability: Option<f32>,
    /// The languages that it may be found to be in.
    candidates: Vec<usize>,
    task: Task,
    prompt: Vec<Token>,
    random: Option<Rng>,
    no_speech_prob: f32,
    chosen: Vec<Choice>,
    /// Position of the token that the text follows.
    before_text: usize,
    begins: Vec<u32>,
}

/// What the logits after the last token that is fed tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The language.
    Detecting,
    /// Whether there is speech.
    Starting,
    /// What comes next in the text.
    Writing,
}

impl Row {
    /// A window that was heard into a slot, to be read as the options say: most probably or, with a seed, in another way
    /// that is nearly as probable.
    ///
    /// # Errors
    /// A language that the model does not know.
    pub fn new(
        slot: usize,
        audio: usize,
        options: &WindowOptions,
        seed: Option<u64>,
        vocabulary: &Vocabulary,
    ) -> Result<Self, String> {
        let asked = options.language.as_deref().filter(|_| vocabulary.is_multilingual());
        let number = |code: &str| {
            let number = LANGUAGES.iter().position(|(known, _)| *known == code);
            let number = number.filter(|number| *number < vocabulary.languages().len());
            number.ok_or_else(|| format!("the model knows no language {code:?}"))
        };
        let mut row = Self {
            place: Place { slot, position: 0, audio },
            token: vocabulary.start,
            feed: VecDeque::new(),
            stage: if vocabulary.is_multilingual() && asked.is_none() { Stage::Detecting } else { Stage::Starting },
            language: asked.map(number).transpose()?.unwrap_or_default(),
            language_probability: None,
            candidates: candidates(options, vocabulary),
            task: options.task,
            prompt: prompt(options, vocabulary),
            random: seed.map(Rng::with_seed),
            no_speech_prob: 0.0,
            chosen: Vec::new(),
            before_text: 0,
            begins: Vec::new(),
        };
        if row.stage == Stage::Starting {
            row.start(vocabulary);
        }
        Ok(row)
    }

    /// The tokens that are known, but for the last of them, where they are many: to be decoded at once.
    pub fn take_known(&mut self) -> Vec<Token> {
        if self.feed.len() < FED_AT_ONCE {
            return Vec::new();
        }
        let last = self.feed.pop_back();
        let known = std::iter::once(self.token).chain(self.feed.drain(..)).collect();
        self.token = last.unwrap_or(self.token);
        known
    }

    /// Whether the logits of special tokens are looked at after this one.
    pub fn asks_special(&self) -> bool {
        self.stage != Stage::Writing && self.feed.is_empty()
    }

    /// Whether the logits after this token are those of what comes next in the text.
    pub fn is_writing(&self) -> bool {
        self.stage == Stage::Writing && self.feed.is_empty()
    }

    /// Whether nothing was chosen yet.
    pub fn is_first(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Where the text begins in what was decoded: at the token before it.
    pub fn before_text(&self) -> Place {
        Place { position: self.before_text, ..self.place }
    }

    /// The tokens of the text, and how many of them were decoded here.
    pub fn chosen(&self) -> (Vec<Token>, usize) {
        let tokens = self.chosen.iter().map(|choice| choice.token).collect();
        (tokens, self.place.position.saturating_sub(self.before_text + 1))
    }

    /// Takes a text that was chosen elsewhere.
    pub fn write(&mut self, chosen: &[Choice]) {
        self.chosen = chosen.to_vec();
    }

    /// Takes the logits of what follows the token; returns whether the text is complete.
    ///
    /// # Errors
    /// They are no numbers.
    pub fn take(&mut self, logits: &[f32], vocabulary: &Vocabulary, rules: &Rules) -> Result<bool, String> {
        self.place.position += 1;
        if let Some(next) = self.feed.pop_front() {
            self.token = next;
            return Ok(false);
        }
        if self.stage == Stage::Detecting {
            let tokens = self.candidates.iter().filter_map(|language| vocabulary.languages().nth(*language));
            let (at, probability) = greedy::most_probable_of(logits, tokens).ok_or("whisper heard no language")?;
            self.language = self.candidates.get(at).copied().unwrap_or_default();
            self.language_probability = Some(probability);
            self.stage = Stage::Starting;
            if !self.prompt.is_empty() {
                self.place.position = 0;
                self.start(vocabulary);
                return Ok(false);
            }
        }
        if self.stage == Stage::Starting {
            self.no_speech_prob = greedy::probability(logits, vocabulary.no_speech);
            if !self.no_speech_prob.is_finite() {
                return Err("whisper computed no probabilities".to_owned());
            }
            self.stage = Stage::Writing;
            self.feed = self.task_tokens(vocabulary).into();
            self.token = self.feed.pop_front().unwrap_or(vocabulary.no_timestamps);
            self.before_text = self.place.position + self.feed.len();
            return Ok(false);
        }
        let choice = self.choose(logits, vocabulary, rules).ok_or("whisper computed no probabilities")?;
        if choice.token == vocabulary.end_of_text {
            return Ok(true);
        }
        self.chosen.push(choice);
        self.token = choice.token;
        Ok(self.chosen.len() == MAX_TOKENS)
    }

    /// When each token of the text was said, and when the last ended: milliseconds.
    pub fn was_said(&mut self, begins: Vec<u32>) {
        self.begins = begins;
    }

    /// What was heard.
    pub fn text(&self, vocabulary: &Vocabulary) -> WindowText {
        let language = LANGUAGES.get(self.language).map_or("en", |(code, _)| *code).to_owned();
        WindowText {
            language,
            language_probability: self.language_probability,
            no_speech_prob: self.no_speech_prob,
            ..pieces::text(&self.chosen, &self.begins, vocabulary)
        }
    }

    fn choose(&mut self, logits: &[f32], vocabulary: &Vocabulary, rules: &Rules) -> Option<Choice> {
        let forbidden = if self.chosen.is_empty() { &rules.no_beginning } else { &rules.unspoken };
        match &mut self.random {
            None => greedy::choose(logits, vocabulary.end_of_text, forbidden),
            Some(random) => greedy::sample(logits, vocabulary.end_of_text, forbidden, TEMPERATURE, random),
        }
    }

    /// From the prompt, if there is one, to the token that starts a transcript.
    fn start(&mut self, vocabulary: &Vocabulary) {
        self.feed = self.prompt.iter().copied().chain([vocabulary.start]).collect();
        self.token = vocabulary.previous;
        if self.prompt.is_empty() {
            self.feed.clear();
            self.token = vocabulary.start;
        }
    }

    /// What follows the start: how to go on.
    fn task_tokens(&self, vocabulary: &Vocabulary) -> Vec<Token> {
        let task = match self.task {
            Task::Transcribe => vocabulary.transcribe,
            Task::Translate => vocabulary.translate,
        };
        let language = vocabulary.languages().nth(self.language);
        let multilingual = language.into_iter().chain([task]).filter(|_| vocabulary.is_multilingual());
        // with timestamp tokens the model ends a window at the last one it believes and loses what follows; times come
        // from elsewhere (transcribe::placement)
        multilingual.chain([vocabulary.no_timestamps]).collect()
    }
}

/// The languages that the job allows and the model knows; all of them where the job allows any.
fn candidates(options: &WindowOptions, vocabulary: &Vocabulary) -> Vec<usize> {
    let allowed = |code: &str| options.languages.is_empty() || options.languages.iter().any(|one| one == code);
    let known = LANGUAGES.iter().enumerate().take(vocabulary.languages().len());
    known.filter(|(_, (code, _))| allowed(code)).map(|(number, _)| number).collect()
}

fn prompt(options: &WindowOptions, vocabulary: &Vocabulary) -> Vec<Token> {
    let text = options.prompt.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or_default();
    let mut tokens = vocabulary.tokenize(text);
    // the end of a prompt counts most
    let surplus = tokens.len().saturating_sub(MAX_PROMPT_TOKENS);
    tokens.drain(..surplus);
    tokens
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::vocabulary::tests::english;
    use super::*;

    /// A window whose text is the same token over and over, up to so many or until there may be no more.
    fn written(tokens: usize) -> Row {
        let vocabulary = english(&[]);
        let rules = Rules::new(&vocabulary);
        let prompt = Some("Ask what you can do for your country, and ask not what it can do.".to_owned());
        let mut row = Row::new(3, 500, &WindowOptions { prompt, ..Default::default() }, None, &vocabulary).unwrap();
        row.place.position = row.take_known().len();
        loop {
            let mut logits = vec![0.0; vocabulary.size];
            let next = if row.chosen.len() < tokens { Token::from(b'a') } else { vocabulary.end_of_text };
            logits[usize::try_from(next).unwrap()] = 20.0;
            if row.take(&logits, &vocabulary, &rules).unwrap() {
                return row;
            }
        }
    }

    #[test]
    fn a_text_knows_where_it_was_decoded() {
        let row = written(5);
        // after the prompt with its own start: the start and what says that there are no timestamps
        assert_eq!(row.before_text().position, row.prompt.len() + 2);
        assert_eq!(row.chosen(), (vec![Token::from(b'a'); 5], 5));
    }

    #[test]
    fn of_the_longest_text_the_last_token_was_not_decoded() {
        assert_eq!(written(usize::MAX).chosen(), (vec![Token::from(b'a'); MAX_TOKENS], MAX_TOKENS - 1));
    }
}
