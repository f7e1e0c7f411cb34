//! The calls of whisper.cpp's C interface that the engine makes, behind two types that keep its rules: weights that are
//! only read, and a state that one thread uses at a time.
#![expect(unsafe_code, reason = "whisper.cpp is C++; each call says why it is sound")]

use std::ffi::{CStr, CString, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use whisper_rs::whisper_rs_sys as sys;

pub mod devices;
pub mod logs;
pub mod state;

/// A number of the vocabulary.
pub type Token = sys::whisper_token;

/// Ends this process at once. `exit` would run the destructors of C++ and of the GPU's driver, which may hang or crash under
/// threads that compute.
pub fn exit(status: c_int) -> ! {
    unsafe extern "C" {
        safe fn _exit(status: c_int) -> !;
    }
    _exit(status)
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
    /// Loads a ggml file onto the CPU or GPU `gpu`.
    ///
    /// # Errors
    /// Whisper.cpp's refusal, naming the file; the reason is in the log lines before it.
    pub fn load(model: &Path, gpu: Option<u8>) -> io::Result<Self> {
        let path = CString::new(model.as_os_str().as_bytes())?;
        // SAFETY: takes nothing and returns a plain value
        let mut params = unsafe { sys::whisper_context_default_params() };
        params.use_gpu = gpu.is_some();
        params.gpu_device = c_int::from(gpu.unwrap_or(0));
        // half of the time on a CPU goes into it, on a GPU it saves as much: ARCHITECTURE.md has the figures
        params.flash_attn = gpu.is_some();
        // SAFETY: the path ends with a NUL and outlives the call
        let raw = unsafe { sys::whisper_init_from_file_with_params_no_state(path.as_ptr(), params) };
        let raw = NonNull::new(raw).ok_or_else(|| io::Error::other(format!("failed to load {}", model.display())))?;
        Ok(Self { raw })
    }

    /// Asks for one of the numbers that whisper.cpp derives from the weights' dimensions.
    fn number(&self, ask: unsafe extern "C" fn(*mut sys::whisper_context) -> c_int) -> c_int {
        // SAFETY: the context is alive and these functions only read it
        unsafe { ask(self.raw.as_ptr()) }
    }

    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.number(sys::whisper_is_multilingual) != 0
    }

    /// Mel bands of the spectrogram: 80 or 128.
    pub fn mels(&self) -> usize {
        usize::try_from(self.number(sys::whisper_model_n_mels)).unwrap_or_default()
    }

    /// Encoder positions for 30 s.
    pub fn audio_ctx(&self) -> c_int {
        self.number(sys::whisper_n_audio_ctx)
    }

    /// Tokens, special ones included.
    pub fn vocabulary(&self) -> usize {
        usize::try_from(self.number(sys::whisper_n_vocab)).unwrap_or_default()
    }

    /// Ends a text; all greater tokens are special, all smaller ones are text.
    pub fn end_of_text(&self) -> Token {
        self.number(sys::whisper_token_eot)
    }

    /// Starts a transcript.
    pub fn start(&self) -> Token {
        self.number(sys::whisper_token_sot)
    }

    /// Stands before the prompt.
    pub fn previous(&self) -> Token {
        self.number(sys::whisper_token_prev)
    }

    /// Says that there is no speech.
    pub fn no_speech(&self) -> Token {
        self.number(sys::whisper_token_nosp)
    }

    /// Asks for text without timestamp tokens.
    pub fn no_timestamps(&self) -> Token {
        self.number(sys::whisper_token_not)
    }

    /// Asks for a transcript.
    pub fn transcribe(&self) -> Token {
        self.number(sys::whisper_token_transcribe)
    }

    /// Asks for a translation.
    pub fn translate(&self) -> Token {
        self.number(sys::whisper_token_translate)
    }

    /// Names a language by whisper.cpp's number of it.
    pub fn language(&self, id: c_int) -> Token {
        // SAFETY: the context is alive; the function adds two numbers
        unsafe { sys::whisper_token_lang(self.raw.as_ptr(), id) }
    }

    /// The bytes of a text token; they may end inside a character.
    pub fn bytes(&self, token: Token) -> &[u8] {
        // whisper.cpp throws for a token that it does not have
        if !(0..self.number(sys::whisper_n_vocab)).contains(&token) {
            return &[];
        }
        // SAFETY: the token exists
        let text = unsafe { sys::whisper_token_to_str(self.raw.as_ptr(), token) };
        if text.is_null() {
            return &[];
        }
        // SAFETY: it points at a std::string of the context, which does not change and lives as long as `self`
        unsafe { CStr::from_ptr(text) }.to_bytes()
    }

    /// The tokens of a text without NUL.
    ///
    /// # Errors
    /// A sentence: there is a NUL in it.
    pub fn tokenize(&self, text: &str) -> Result<Vec<Token>, String> {
        let bytes = CString::new(text).map_err(|e| format!("a prompt cannot hold this: {e}"))?;
        // a token is at least a byte
        let mut tokens = vec![0; text.len() + 1];
        let room = c_int::try_from(tokens.len()).map_err(|_| "a prompt of gigabytes".to_owned())?;
        // SAFETY: the text ends with a NUL, and `room` is how many tokens fit
        let count = unsafe { sys::whisper_tokenize(self.raw.as_ptr(), bytes.as_ptr(), tokens.as_mut_ptr(), room) };
        tokens.truncate(usize::try_from(count).unwrap_or_default());
        Ok(tokens)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: states hold an `Arc` of their contexts, so that none is left
        unsafe { sys::whisper_free(self.raw.as_ptr()) }
    }
}
