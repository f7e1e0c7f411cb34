//! whisper.cpp through whisper-rs: weights, lanes, and the parameters of one window. Whatever reaches the C++ code is
//! validated here, because it answers wrong values with aborts and hangs.

use std::ffi::c_int;
use std::io;
use std::path::Path;
use std::sync::Arc;

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState, get_lang_id,
    get_lang_str,
};

use crate::audio::SAMPLE_RATE_HZ;
use crate::job::Task;
use crate::transcribe::wire::{Piece, WindowOptions, WindowText};

/// whisper.cpp reads beyond its input below 200 samples and says nothing below 0.1 s; a second is safe.
const MIN_SAMPLES: usize = SAMPLE_RATE_HZ as usize;

/// Encoder positions a second: 10 ms mel frames, convolved with stride 2.
const POSITIONS_PER_SEC: usize = 50;

/// Encoder positions of silence kept after the window's end, so that the model sees the speech end.
const AUDIO_CTX_MARGIN: usize = 64;

/// Below about 5 s of context the model starts to repeat itself.
const MIN_AUDIO_CTX: usize = 256;

/// Half of Whisper's text context is for the prompt, less the tokens of the task.
const MAX_PROMPT_TOKENS: usize = 200;

/// Text tokens a window may take: 30 s of the fastest speech is about 150.
const MAX_TOKENS: c_int = 220;

/// The loaded model.
pub struct Weights {
    context: Arc<WhisperContext>,
    on_gpu: bool,
}

impl Weights {
    /// Loads a ggml file onto the CPU or GPU `gpu`.
    ///
    /// # Errors
    /// Whisper.cpp's refusal, naming the file; the reason is in the log lines before it.
    pub fn load(model: &Path, gpu: Option<u8>) -> io::Result<Self> {
        let mut params = WhisperContextParameters::new();
        params.use_gpu(gpu.is_some()).gpu_device(c_int::from(gpu.unwrap_or(0)));
        // half of the time on a CPU goes into it, on a GPU it saves as much: ARCHITECTURE.md has the figures
        params.flash_attn(gpu.is_some());
        let context = WhisperContext::new_with_params(model, params)
            .map_err(|e| io::Error::other(format!("failed to load {}: {e}", model.display())))?;
        Ok(Self { context: Arc::new(context), on_gpu: gpu.is_some() })
    }

    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.context.is_multilingual()
    }
}

/// One Whisper state; transcribes a window at a time.
pub struct Lane {
    context: Arc<WhisperContext>,
    state: WhisperState,
    threads: usize,
    cut_audio_ctx: bool,
}

impl Lane {
    /// A lane on the given weights.
    ///
    /// # Errors
    /// No memory for its buffers.
    pub fn new(weights: &Weights, threads: usize) -> io::Result<Self> {
        let state = weights
            .context
            .create_state()
            .map_err(|e| io::Error::other(format!("failed to make a lane (is there memory for it?): {e}")))?;
        // a GPU gains little from a shorter encoder and reallocates its graphs for each new length
        Ok(Self { context: weights.context.clone(), state, threads: threads.max(1), cut_audio_ctx: !weights.on_gpu })
    }

    /// Transcribes one window.
    ///
    /// # Errors
    /// A sentence saying what whisper.cpp refused; the lane stays usable.
    pub fn transcribe(&mut self, samples: &[f32], options: &WindowOptions) -> Result<WindowText, String> {
        let pcm = clean(samples);
        let (language, probability) = self.language(&pcm, options)?;
        let prompt = self.prompt_tokens(options)?;
        let mut params = self.params(&pcm, options);
        params.set_language(Some(language));
        params.set_tokens(&prompt);
        self.state.full(params, &pcm).map_err(|e| format!("whisper failed on a window: {e}"))?;
        let mut text = self.text();
        text.language = language.to_owned();
        text.language_probability = probability;
        text.no_speech_prob = self.no_speech_prob().map_err(|e| format!("whisper failed after a window: {e}"))?;
        Ok(text)
    }

    /// Probability that the window just transcribed holds no speech, as OpenAI's code defines it: of the no-speech token
    /// right after the start token. whisper.cpp 1.8.3 reads it from a row of logits that it has not computed.
    fn no_speech_prob(&mut self) -> Result<f32, WhisperError> {
        self.state.decode(&[self.context.token_sot()], 0, self.threads)?;
        let logits = self.state.get_logits()?;
        let Some(no_speech) = usize::try_from(self.context.token_nosp()).ok().and_then(|id| logits.get(id)) else {
            return Ok(0.0);
        };
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - top).exp()).sum();
        Ok((no_speech - top).exp() / sum)
    }

    fn params<'a, 'b>(&self, pcm: &[f32], options: &WindowOptions) -> FullParams<'a, 'b> {
        // whisper.cpp draws beam candidates at random: only greedy decoding gives the same text twice
        let mut params = FullParams::new(if options.beam_size > 1 {
            SamplingStrategy::BeamSearch { beam_size: c_int::from(options.beam_size.min(8)), patience: -1.0 }
        } else {
            SamplingStrategy::Greedy { best_of: 1 }
        });
        params.set_n_threads(self.threads as c_int);
        params.set_translate(options.task == Task::Translate);
        // windows of one job run in parallel: there is no context to carry
        params.set_no_context(true);
        // with timestamp tokens whisper.cpp ends a window at the last one it believes and loses what follows; times
        // come from the window's speech spans instead (transcribe::placement)
        params.set_no_timestamps(true);
        params.set_single_segment(true);
        params.set_max_tokens(MAX_TOKENS);
        params.set_suppress_blank(true);
        params.set_temperature(0.0);
        // no fallback to sampling: it is not repeatable, and costs up to six decodes where a doubtful window gets one
        // second look (transcribe::guard)
        params.set_temperature_inc(0.0);
        params.set_entropy_thold(2.4);
        params.set_logprob_thold(-1.0);
        // its own probability is stale (see no_speech_prob): transcribe::guard judges instead
        params.set_no_speech_thold(1.1);
        params.set_print_special(false);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        if self.cut_audio_ctx && !options.careful {
            params.set_audio_ctx(audio_ctx(pcm.len(), self.context.n_audio_ctx()));
        }
        params
    }

    fn language(&mut self, pcm: &[f32], options: &WindowOptions) -> Result<(&'static str, Option<f32>), String> {
        if !self.context.is_multilingual() {
            return Ok(("en", None));
        }
        if let Some(code) = &options.language {
            let id = get_lang_id(&code.replace('\0', "")).ok_or_else(|| format!("unknown language {code:?}"))?;
            return get_lang_str(id).map(|code| (code, None)).ok_or_else(|| format!("unknown language {code:?}"));
        }
        self.detect(pcm)
    }

    fn detect(&mut self, pcm: &[f32]) -> Result<(&'static str, Option<f32>), String> {
        let failed = |e| format!("whisper failed to compute the spectrogram: {e}");
        self.state.pcm_to_mel(pcm, self.threads).map_err(failed)?;
        let (id, probabilities) = self
            .state
            .lang_detect(0, self.threads)
            .map_err(|e| format!("whisper failed to detect the language: {e}"))?;
        let probability = usize::try_from(id).ok().and_then(|id| probabilities.get(id)).copied();
        Ok((get_lang_str(id).unwrap_or("en"), probability))
    }

    fn prompt_tokens(&self, options: &WindowOptions) -> Result<Vec<c_int>, String> {
        let Some(prompt) = options.prompt.as_ref().map(|p| p.replace('\0', " ")).filter(|p| !p.trim().is_empty())
        else {
            return Ok(Vec::new());
        };
        // a token is at least a byte
        let mut tokens = self
            .context
            .tokenize(&prompt, prompt.len() + 1)
            .map_err(|e| format!("whisper failed to read the prompt: {e}"))?;
        // the end of a prompt counts most
        let surplus = tokens.len().saturating_sub(MAX_PROMPT_TOKENS);
        tokens.drain(..surplus);
        Ok(tokens)
    }

    fn text(&self) -> WindowText {
        let end_of_text = self.context.token_eot();
        let mut text = WindowText::default();
        let mut pieces = Pieces::default();
        let (mut log_probs, mut tokens) = (0.0f64, 0u32);
        for segment in self.state.as_iter() {
            for token in (0..segment.n_tokens()).filter_map(|i| segment.get_token(i)) {
                let data = token.token_data();
                if data.id >= end_of_text {
                    continue;
                }
                log_probs += f64::from(data.plog);
                tokens += 1;
                if let Ok(bytes) = token.to_bytes() {
                    pieces.push(bytes, data.p);
                }
            }
        }
        text.avg_logprob = if tokens == 0 { 0.0 } else { (log_probs / f64::from(tokens)) as f32 };
        text.pieces = pieces.finish();
        text
    }
}

/// Finite, within [-1, 1], and at least a second long: one NaN makes whisper.cpp 13 times slower and say `!!!!`.
fn clean(samples: &[f32]) -> Vec<f32> {
    let mut pcm: Vec<f32> = samples.iter().map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 }).collect();
    pcm.resize(pcm.len().max(MIN_SAMPLES), 0.0);
    pcm
}

/// Encoder positions for a window of `samples`; 0 is the model's full 30 s.
fn audio_ctx(samples: usize, full: c_int) -> c_int {
    let positions = samples.div_ceil(SAMPLE_RATE_HZ as usize / POSITIONS_PER_SEC) + AUDIO_CTX_MARGIN;
    // in steps, so that lanes meet few different graph sizes
    let positions = positions.max(MIN_AUDIO_CTX).next_multiple_of(64);
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
    fn the_encoder_is_cut_to_the_window_and_never_beyond_the_model() {
        assert_eq!(audio_ctx(16_000, 1500), 256);
        assert_eq!(audio_ctx(16_000 * 11, 1500), 640);
        assert_eq!(audio_ctx(16_000 * 30, 1500), 0);
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
