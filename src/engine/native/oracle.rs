//! whisper.cpp's own forward pass, which tests hold ours against.
#![expect(unsafe_code, reason = "whisper.cpp is C++; each call says why it is sound")]

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use whisper_rs::whisper_rs_sys as sys;

use crate::engine::spectrogram::Spectrogram;
use crate::engine::vocabulary::Token;

/// What whisper.cpp keeps of the window at hand: its encoding, and what was decoded of it so far.
#[derive(Debug)]
pub struct State {
    raw: NonNull<sys::whisper_state>,
    encoder: Arc<Context>,
    decoder: Arc<Context>,
    threads: c_int,
    audio_ctx: c_int,
}

// SAFETY: nothing in a state belongs to a thread; all methods that use it take `&mut self`
unsafe impl Send for State {}

impl State {
    /// A state whose windows are encoded with one set of weights and decoded with another of the same model.
    ///
    /// # Errors
    /// No memory for its buffers.
    pub fn new(encoder: Arc<Context>, decoder: Arc<Context>, threads: u8) -> io::Result<Self> {
        // SAFETY: the context is alive
        let raw = unsafe { sys::whisper_init_state(encoder.raw.as_ptr()) };
        let raw =
            NonNull::new(raw).ok_or_else(|| io::Error::other("failed to make a lane (is there memory for it?)"))?;
        // 0 threads abort
        Ok(Self { raw, encoder, decoder, threads: c_int::from(threads.max(1)), audio_ctx: 0 })
    }

    /// Encodes a window. `audio_ctx` is how many positions are encoded, 50 a second; 0 is the model's full 30 s.
    ///
    /// # Errors
    /// A sentence with whisper.cpp's code.
    pub fn encode(&mut self, window: &Spectrogram, audio_ctx: c_int) -> Result<(), String> {
        self.set_spectrogram(window)?;
        if audio_ctx != self.audio_ctx {
            self.limit_encoder(audio_ctx)?;
        }
        // SAFETY: context and state are alive, and the state is not shared
        let code =
            unsafe { sys::whisper_encode_with_state(self.encoder.raw.as_ptr(), self.raw.as_ptr(), 0, self.threads) };
        if code == 0 { Ok(()) } else { Err(format!("whisper failed to encode a window: code {code}")) }
    }

    /// Decodes `tokens` after the first `past` ones of those decoded since the last [`State::encode`]; returns the
    /// logits of what follows them, one for each token of the vocabulary.
    ///
    /// # Errors
    /// A sentence with whisper.cpp's code.
    pub fn decode(&mut self, tokens: &[Token], past: usize) -> Result<&[f32], String> {
        let (Ok(count), Ok(past)) = (c_int::try_from(tokens.len()), c_int::try_from(past)) else {
            return Err("whisper cannot decode so many tokens".to_owned());
        };
        let context = self.decoder.raw.as_ptr();
        // SAFETY: context and state are alive, the state is not shared, and `count` tokens are there
        let code = unsafe {
            sys::whisper_decode_with_state(context, self.raw.as_ptr(), tokens.as_ptr(), count, past, self.threads)
        };
        // SAFETY: the state is alive
        let logits = unsafe { sys::whisper_get_logits_from_state(self.raw.as_ptr()) };
        if code != 0 || logits.is_null() || count == 0 {
            return Err(format!("whisper failed to decode a window: code {code}"));
        }
        let vocabulary = self.decoder.vocabulary();
        // SAFETY: there is a row for each decoded token, of which the last is computed; it stays until the next call,
        // which takes `&mut self`
        Ok(unsafe { std::slice::from_raw_parts(logits.add((tokens.len() - 1) * vocabulary), vocabulary) })
    }

    /// What whisper.cpp itself makes of a window of which so many positions are encoded, the surest token at each step.
    ///
    /// # Errors
    /// A sentence with whisper.cpp's code.
    pub fn greedy(&mut self, window: &Spectrogram, audio_ctx: c_int) -> Result<Vec<Token>, String> {
        self.set_spectrogram(window)?;
        let mut params = silent_params(sys::whisper_sampling_strategy_WHISPER_SAMPLING_GREEDY, self.threads);
        params.audio_ctx = audio_ctx;
        params.suppress_nst = true;
        params.language = c"en".as_ptr();
        self.full(params)?;
        self.audio_ctx = audio_ctx;
        let state = self.raw.as_ptr();
        let mut tokens = Vec::new();
        // SAFETY: the state is alive; segments and tokens are counted before they are asked for
        unsafe {
            for segment in 0..sys::whisper_full_n_segments_from_state(state) {
                let count = sys::whisper_full_n_tokens_from_state(state, segment);
                tokens.extend((0..count).map(|index| sys::whisper_full_get_token_id_from_state(state, segment, index)));
            }
        }
        Ok(tokens)
    }

    fn set_spectrogram(&mut self, window: &Spectrogram) -> Result<(), String> {
        let (Ok(frames), Ok(mels)) = (c_int::try_from(window.frames), c_int::try_from(window.mels)) else {
            return Err("a window of hours".to_owned());
        };
        debug_assert_eq!(window.values.len(), window.frames * window.mels);
        // SAFETY: context and state are alive, the state is not shared, and the values are frames x mels
        let code = unsafe {
            let (context, state) = (self.encoder.raw.as_ptr(), self.raw.as_ptr());
            sys::whisper_set_mel_with_state(context, state, window.values.as_ptr(), frames, mels)
        };
        if code == 0 { Ok(()) } else { Err(format!("whisper takes no spectrogram of {mels} bands: code {code}")) }
    }

    /// `whisper_full` alone can set how many positions are encoded; it is told to end before it encodes anything.
    fn limit_encoder(&mut self, audio_ctx: c_int) -> Result<(), String> {
        let mut params = silent_params(sys::whisper_sampling_strategy_WHISPER_SAMPLING_GREEDY, self.threads);
        params.audio_ctx = audio_ctx;
        params.encoder_begin_callback = Some(not_now);
        self.full(params)?;
        self.audio_ctx = audio_ctx;
        Ok(())
    }

    fn full(&mut self, params: sys::whisper_full_params) -> Result<(), String> {
        // SAFETY: context and state are alive, the state is not shared, what `params` points to outlives the call, and
        // of 0 samples none is read: the spectrogram is set
        let code = unsafe {
            let (context, state) = (self.encoder.raw.as_ptr(), self.raw.as_ptr());
            sys::whisper_full_with_state(context, state, params, std::ptr::null(), 0)
        };
        if code == 0 { Ok(()) } else { Err(format!("whisper failed on a window: code {code}")) }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: made by whisper_init_state and freed once; its contexts are still alive
        unsafe { sys::whisper_free_state(self.raw.as_ptr()) }
    }
}

/// One temperature, no timestamp tokens, no context of earlier windows, nothing printed.
fn silent_params(strategy: sys::whisper_sampling_strategy, threads: c_int) -> sys::whisper_full_params {
    // SAFETY: takes a number and returns a plain value
    let mut params = unsafe { sys::whisper_full_default_params(strategy) };
    params.n_threads = threads;
    params.no_context = true;
    params.no_timestamps = true;
    params.single_segment = true;
    params.temperature_inc = 0.0;
    // its own probability is read from a row of logits that it has not computed
    params.no_speech_thold = 1.1;
    params.print_special = false;
    params.print_progress = false;
    params.print_realtime = false;
    params.print_timestamps = false;
    params
}

/// The answer to "may the encoder begin?".
unsafe extern "C" fn not_now(_: *mut sys::whisper_context, _: *mut sys::whisper_state, _: *mut c_void) -> bool {
    false
}

/// Loaded weights; any number of states may read them at a time.
#[derive(Debug)]
pub struct Context {
    raw: NonNull<sys::whisper_context>,
}

// SAFETY: made without a state of its own, a context is only read after it was loaded
unsafe impl Send for Context {}
// SAFETY: as above
unsafe impl Sync for Context {}

impl Context {
    /// Loads a ggml file.
    ///
    /// # Errors
    /// Whisper.cpp's refusal, naming the file; the reason is in the log lines before it.
    pub fn load(model: &Path) -> io::Result<Self> {
        let path = CString::new(model.as_os_str().as_bytes())?;
        // SAFETY: takes nothing and returns a plain value
        let mut params = unsafe { sys::whisper_context_default_params() };
        params.use_gpu = false;
        params.flash_attn = false;
        // SAFETY: the path ends with a NUL and outlives the call
        let raw = unsafe { sys::whisper_init_from_file_with_params_no_state(path.as_ptr(), params) };
        let raw = NonNull::new(raw).ok_or_else(|| io::Error::other(format!("failed to load {}", model.display())))?;
        Ok(Self { raw })
    }

    /// Tokens, special ones included.
    pub fn vocabulary(&self) -> usize {
        // SAFETY: the context is alive and the function only reads it
        let count = unsafe { sys::whisper_n_vocab(self.raw.as_ptr()) };
        usize::try_from(count).unwrap_or_default()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: states hold an `Arc` of their contexts, so that none is left
        unsafe { sys::whisper_free(self.raw.as_ptr()) }
    }
}
