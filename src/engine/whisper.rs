//! A window in, its text out: what Whisper does with a window, step by step, on one lane. Whatever reaches the C++ code
//! is validated here, because it answers wrong values with aborts and hangs.

use std::ffi::c_int;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use fastrand::Rng;
use whisper_rs::{get_lang_id, get_lang_str};

use super::greedy;
use super::native::state::{BeamSearch, State};
use super::native::{Context, Token};
use super::spectrogram::{Analyser, MAX_FRAMES, Spectrogram};
use crate::audio::SAMPLE_RATE_HZ;
use crate::job::Task;
use crate::transcribe::probe::noise;
use crate::transcribe::wire::{Piece, WindowOptions, WindowText};

/// A second: below a few tenths the model hears nothing.
const MIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize;

/// Encoder positions a second: 10 ms mel frames, convolved with stride 2.
const POSITIONS_PER_SEC: usize = 50;

/// Encoder positions of silence kept after the window's end, so that the model sees the speech end. With 64 it says one
/// short window in twenty again and again.
const AUDIO_CTX_MARGIN: usize = 320;

/// Where that would make more positions than this, it makes only so many, but [`LEAST_MARGIN`] is kept: the closer to
/// the full context, the more sentences are left out.
const LONG_AUDIO_CTX: usize = 1_344;
const LEAST_MARGIN: usize = 64;

/// Half of Whisper's text context is for the prompt, less the tokens of the task.
const MAX_PROMPT_TOKENS: usize = 200;

/// Of another reading of a window: high enough to leave a loop, low enough to stay with what was said.
const TEMPERATURE: f32 = 0.4;

/// Signs that describe sounds or set type, which nobody speaks: Whisper is not to begin a word with them. (OpenAI's list
/// has `"`, `:`, `;`, `/`, `+`, `@` and the corner brackets too, which times, addresses and quotations are written with.)
const UNSPOKEN: [&str; 35] = [
    "(", ")", "[", "]", "{", "}", "<", ">", "<<", ">>", "<<<", ">>>", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}",
    "-(", "-[", "('", "(\"", "*", "#", "=", "\\", "^", "_", "`", "|", "~", "--", "---",
];
/// The same, where one sign is several tokens of which the first is suppressed.
const NOTES: [&str; 8] = ["♪", "♪♪", "♪♪♪", "♩", "♫", "♬", "♭", "♯"];

/// Text tokens a window may take: 30 s of the fastest speech is about 150.
const MAX_TOKENS: usize = 220;

/// The loaded model.
pub struct Weights {
    encoder: Arc<Context>,
    decoder: Arc<Context>,
    on_gpu: bool,
}

impl Weights {
    /// Loads a ggml file onto the CPU or GPU `gpu`. `decoder` is another file of the same model to decode with: encoding
    /// is limited by arithmetic, decoding by how many bytes of weights are read for each token.
    ///
    /// # Errors
    /// Whisper.cpp's refusal, naming the file; the reason is in the log lines before it.
    pub fn load(model: &Path, decoder: Option<&Path>, gpu: Option<u8>) -> io::Result<Self> {
        // side by side: a worker is to be at its first window soon
        let (encoder, decoder) = thread::scope(|scope| {
            let decoder = decoder.map(|path| scope.spawn(move || Context::load(path, gpu)));
            (Context::load(model, gpu), decoder.map(ScopedJoinHandle::join))
        });
        let encoder = Arc::new(encoder?);
        let decoder = match decoder {
            Some(Ok(decoder)) => Arc::new(decoder?),
            Some(Err(_)) => return Err(io::Error::other("loading the decoder's weights panicked")),
            None => encoder.clone(),
        };
        if decoder.vocabulary() != encoder.vocabulary() || decoder.audio_ctx() != encoder.audio_ctx() {
            return Err(io::Error::other(format!("the decoder's weights are not those of {}", model.display())));
        }
        Ok(Self { encoder, decoder, on_gpu: gpu.is_some() })
    }

    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.encoder.is_multilingual()
    }
}

/// One Whisper state; transcribes a window at a time.
pub struct Lane {
    model: Arc<Context>,
    state: State,
    analyser: Analyser,
    /// What no text holds: signs that nobody speaks.
    unspoken: Vec<Token>,
    /// What no text begins with: those, nothing, and a blank.
    no_beginning: Vec<Token>,
    cut_audio_ctx: bool,
}

/// Tokens with their probabilities and log probabilities.
type Tokens = Vec<(Token, f32, f32)>;

impl Lane {
    /// A lane on the given weights.
    ///
    /// # Errors
    /// No memory for its buffers.
    pub fn new(weights: &Weights, threads: u8) -> io::Result<Self> {
        let model = weights.encoder.clone();
        let unspoken = unspoken(&model).map_err(io::Error::other)?;
        let mut no_beginning = model.tokenize(" ").map_err(io::Error::other)?;
        no_beginning.push(model.end_of_text());
        no_beginning.extend(&unspoken);
        Ok(Self {
            state: State::new(weights.encoder.clone(), weights.decoder.clone(), threads)?,
            analyser: Analyser::new(model.mels()),
            unspoken,
            no_beginning,
            // a GPU gains little from a shorter encoder and reallocates its graphs for each new length
            cut_audio_ctx: !weights.on_gpu,
            model,
        })
    }

    /// Encodes and decodes a second of noise: loads the kernels that windows need, and shows whether this machine can
    /// compute them.
    ///
    /// # Errors
    /// A sentence saying what whisper.cpp refused, or that nonsense was computed.
    pub fn warm_up(&mut self) -> Result<(), String> {
        let window = self.analyser.analyse(&noise(MIN_SAMPLES), MAX_FRAMES)?;
        let audio_ctx = if self.cut_audio_ctx { audio_ctx(MIN_SAMPLES, self.model.audio_ctx()) } else { 0 };
        self.state.encode(&window, audio_ctx)?;
        let (start, no_speech) = (self.model.start(), self.model.no_speech());
        // several tokens at a time, as a prompt is decoded, then one as each that follows
        for (tokens, past) in [(&[start, no_speech][..], 0), (&[start][..], 2)] {
            let logits = self.state.decode(tokens, past)?;
            if !greedy::probability(logits, no_speech).is_finite() {
                return Err("whisper computed no probabilities".to_owned());
            }
        }
        Ok(())
    }

    /// Transcribes one window.
    ///
    /// # Errors
    /// A sentence saying what whisper.cpp refused; the lane stays usable.
    pub fn transcribe(&mut self, samples: &[f32], options: &WindowOptions) -> Result<WindowText, String> {
        let pcm = clean(samples);
        let window = self.analyser.analyse(&pcm, MAX_FRAMES)?;
        let prompt = self.prompt_tokens(options)?;
        let cut = self.cut_audio_ctx && !options.careful;
        let audio_ctx = if cut { audio_ctx(pcm.len(), self.model.audio_ctx()) } else { 0 };
        self.state.encode(&window, audio_ctx)?;
        let (language, language_probability) = self.language(options)?;
        let start = self.start(&prompt);
        let logits = self.state.decode(&start, 0)?;
        let no_speech_prob = greedy::probability(logits, self.model.no_speech());
        let code = get_lang_str(language).ok_or_else(|| format!("unknown language number {language}"))?;
        let tokens = if options.careful {
            let mut random = Rng::with_seed(seed(&pcm));
            self.choose(&self.task(language, options.task), start.len(), Some(&mut random))?
        } else if options.beam_size > 1 {
            self.search(&window, options, code, &prompt)?
        } else {
            self.choose(&self.task(language, options.task), start.len(), None)?
        };
        let text = self.text(&tokens);
        Ok(WindowText { language: code.to_owned(), language_probability, no_speech_prob, ..text })
    }

    /// The prompt, and the token that starts a transcript. What follows it tells whether there is speech, and in which
    /// language.
    fn start(&self, prompt: &[Token]) -> Vec<Token> {
        let before = if prompt.is_empty() { None } else { Some(self.model.previous()) };
        before.into_iter().chain(prompt.iter().copied()).chain([self.model.start()]).collect()
    }

    /// What follows the start: how to go on.
    fn task(&self, language: c_int, task: Task) -> Vec<Token> {
        let task = match task {
            Task::Transcribe => self.model.transcribe(),
            Task::Translate => self.model.translate(),
        };
        let multilingual = [self.model.language(language), task];
        let task = if self.model.is_multilingual() { &multilingual[..] } else { &[] };
        // with timestamp tokens the model ends a window at the last one it believes and loses what follows; times come
        // from the window's speech spans instead (transcribe::placement)
        task.iter().copied().chain([self.model.no_timestamps()]).collect()
    }

    /// The most probable text; with a generator another one, that is nearly as probable. Whisper's own fallback decodes up
    /// to six times where a doubtful window gets one second look (transcribe::guard).
    fn choose(&mut self, task: &[Token], mut past: usize, mut random: Option<&mut Rng>) -> Result<Tokens, String> {
        let end_of_text = self.model.end_of_text();
        let mut tokens = Tokens::new();
        let mut next = task.to_vec();
        while tokens.len() < MAX_TOKENS {
            let logits = self.state.decode(&next, past)?;
            past += next.len();
            let forbidden = if tokens.is_empty() { &self.no_beginning } else { &self.unspoken };
            let choice = match &mut random {
                None => greedy::choose(logits, end_of_text, forbidden),
                Some(random) => greedy::sample(logits, end_of_text, forbidden, TEMPERATURE, random),
            };
            let choice = choice.ok_or("whisper computed no probabilities")?;
            if choice.token == end_of_text {
                break;
            }
            tokens.push((choice.token, choice.logprob.exp(), choice.logprob));
            next = vec![choice.token];
        }
        Ok(tokens)
    }

    /// whisper.cpp draws beam candidates at random: only greedy decoding gives the same text twice.
    fn search(
        &mut self,
        window: &Spectrogram,
        options: &WindowOptions,
        language: &str,
        prompt: &[Token],
    ) -> Result<Tokens, String> {
        let translate = options.task == Task::Translate;
        let search = BeamSearch { width: options.beam_size, prompt, language, translate, max_tokens: MAX_TOKENS };
        self.state.search(window, &search)
    }

    /// Whisper's number of the language: the one asked for, or the most probable after the start.
    fn language(&mut self, options: &WindowOptions) -> Result<(c_int, Option<f32>), String> {
        let number = |code: &str| get_lang_id(code).ok_or_else(|| format!("unknown language {code:?}"));
        if !self.model.is_multilingual() {
            return Ok((number("en")?, None));
        }
        if let Some(code) = &options.language {
            let id = number(&code.replace('\0', ""))?;
            // the number of a language that came later is that of another token
            if self.model.language(id) >= self.model.translate() {
                return Err(format!("the model does not know the language {code}"));
            }
            return Ok((id, None));
        }
        let logits = self.state.decode(&[self.model.start()], 0)?;
        // models before large-v3 know a language less than whisper.cpp
        let (first, end) = (self.model.language(0), self.model.translate());
        let mut ids: Vec<c_int> = (0..end - first).collect();
        if !options.languages.is_empty() {
            ids = options.languages.iter().map(|code| number(code)).collect::<Result<_, _>>()?;
            ids.retain(|id| (0..end - first).contains(id));
        }
        let tokens = ids.iter().map(|id| first + id);
        let (at, p) = greedy::most_probable_of(logits, tokens).ok_or("whisper heard no language")?;
        Ok((ids.get(at).copied().unwrap_or_default(), Some(p)))
    }

    fn prompt_tokens(&self, options: &WindowOptions) -> Result<Vec<Token>, String> {
        let Some(prompt) = options.prompt.as_ref().map(|p| p.replace('\0', " ")).filter(|p| !p.trim().is_empty())
        else {
            return Ok(Vec::new());
        };
        let mut tokens = self.model.tokenize(&prompt)?;
        // the end of a prompt counts most
        let surplus = tokens.len().saturating_sub(MAX_PROMPT_TOKENS);
        tokens.drain(..surplus);
        Ok(tokens)
    }

    fn text(&self, tokens: &Tokens) -> WindowText {
        let mut pieces = Pieces::default();
        let (mut log_probs, mut count) = (0.0f64, 0u32);
        for (token, p, logprob) in tokens.iter().filter(|(token, ..)| *token < self.model.end_of_text()) {
            log_probs += f64::from(*logprob);
            count += 1;
            pieces.push(self.model.bytes(*token), *p);
        }
        let avg_logprob = if count == 0 { 0.0 } else { (log_probs / f64::from(count)) as f32 };
        WindowText { avg_logprob, pieces: pieces.finish(), ..WindowText::default() }
    }
}

/// Finite, within [-1, 1], and at least a second long: one NaN makes whisper.cpp 13 times slower and say `!!!!`.
fn clean(samples: &[f32]) -> Vec<f32> {
    let mut pcm: Vec<f32> = samples.iter().map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 }).collect();
    pcm.resize(pcm.len().max(MIN_SAMPLES), 0.0);
    pcm
}

/// The tokens of [`UNSPOKEN`] and [`NOTES`], with a space before them and without, and the dash that opens a turn.
fn unspoken(model: &Context) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    for sign in UNSPOKEN.iter().chain(&NOTES) {
        for text in [(*sign).to_owned(), format!(" {sign}")] {
            let sign_tokens = model.tokenize(&text)?;
            let first = sign_tokens.first().filter(|first| match NOTES.contains(sign) {
                // two bytes of three: what else begins so is a sign of the same block
                true => model.bytes(**first).trim_ascii().len() >= 2,
                false => sign_tokens.len() == 1,
            });
            tokens.extend(first);
        }
    }
    if let [dash] = model.tokenize(" -")?.as_slice() {
        tokens.push(*dash);
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// A number that only these samples give (FNV-1a), so that another reading of a window is the same wherever it is made.
fn seed(pcm: &[f32]) -> u64 {
    let bytes = pcm.iter().flat_map(|sample| sample.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Encoder positions for a window of `samples`; 0 is the model's full 30 s.
fn audio_ctx(samples: usize, full: c_int) -> c_int {
    let heard = samples.div_ceil(SAMPLE_RATE_HZ as usize / POSITIONS_PER_SEC);
    let positions = (heard + AUDIO_CTX_MARGIN).min(LONG_AUDIO_CTX.max(heard + LEAST_MARGIN));
    // in steps, so that lanes meet few different graph sizes
    let positions = positions.next_multiple_of(64);
    c_int::try_from(positions).ok().filter(|positions| *positions < full).unwrap_or(0)
}

/// Groups tokens until their bytes are valid UTF-8: a token may end inside a character.
#[derive(Default)]
struct Pieces {
    done: Vec<Piece>,
    bytes: Vec<u8>,
    p_sum: f32,
    tokens: f32,
}

impl Pieces {
    /// No character is longer; what is still invalid then will not become valid.
    const MAX_PENDING_BYTES: usize = 4;

    fn push(&mut self, bytes: &[u8], p: f32) {
        self.bytes.extend_from_slice(bytes);
        self.p_sum += p;
        self.tokens += 1.0;
        let broken = std::str::from_utf8(&self.bytes)
            .err()
            .is_some_and(|e| e.error_len().is_some() || self.bytes.len() - e.valid_up_to() > Self::MAX_PENDING_BYTES);
        if broken || std::str::from_utf8(&self.bytes).is_ok() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let text = String::from_utf8_lossy(&self.bytes).into_owned();
            self.done.push(Piece { text, p: self.p_sum / self.tokens.max(1.0) });
        }
        *self = Self { done: std::mem::take(&mut self.done), ..Self::default() };
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_samples_are_cleaned_before_ffi() {
        let pcm = clean(&[f32::NAN, f32::INFINITY, 1e30, -7.0, 0.5]);
        assert_eq!(&pcm[..5], &[0.0, 0.0, 1.0, -1.0, 0.5]);
        assert_eq!(pcm.len(), MIN_SAMPLES);
    }

    #[test]
    fn another_reading_is_seeded_by_the_window_alone() {
        assert_eq!(seed(&[0.5, -0.25]), seed(&[0.5, -0.25]));
        assert_ne!(seed(&[0.5, -0.25]), seed(&[0.5, -0.25001]));
    }

    #[test]
    fn the_encoder_is_cut_to_the_window_and_never_beyond_the_model() {
        let positions = [1, 11, 22, 26, 30].map(|secs| audio_ctx(16_000 * secs, 1500));
        assert_eq!(positions, [384, 896, 1344, 1408, 0]);
    }

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        let mut pieces = Pieces::default();
        let [a, b] = "é".as_bytes() else { unreachable!() };
        pieces.push(b" caf", 0.5);
        pieces.push(&[*a], 0.4);
        pieces.push(&[*b], 0.8);
        pieces.push(&[0xff], 0.1);
        let texts: Vec<_> = pieces.finish().into_iter().map(|piece| (piece.text, piece.p)).collect();
        assert_eq!(texts[0], (" caf".to_owned(), 0.5));
        assert_eq!(texts[1].0, "é");
        assert!((texts[1].1 - 0.6).abs() < 1e-6);
        assert_eq!(texts[2].0, "\u{fffd}");
    }
}
