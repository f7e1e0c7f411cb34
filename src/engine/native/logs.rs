//! What whisper.cpp and ggml say goes where our own log lines go.
#![expect(unsafe_code, reason = "whisper.cpp is C++; each call says why it is sound")]

use std::ffi::{CStr, c_char, c_void};

use whisper_rs::whisper_rs_sys as sys;

/// What whisper.cpp says when it is told to end before it encodes (`State::encode`).
const EXPECTED_COMPLAINT: &str = "encoder_begin_callback returned false";

/// Sends whisper.cpp's and ggml's log lines to `tracing`.
pub fn redirect() {
    // SAFETY: the function below lives as long as the program and touches no data
    unsafe {
        sys::whisper_log_set(Some(log_line), std::ptr::null_mut());
        sys::ggml_log_set(Some(log_line), std::ptr::null_mut());
    }
}

unsafe extern "C" fn log_line(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: whisper.cpp passes a C string that lives for the call
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim_end();
    match level {
        sys::ggml_log_level_GGML_LOG_LEVEL_ERROR if text.contains(EXPECTED_COMPLAINT) => {}
        sys::ggml_log_level_GGML_LOG_LEVEL_ERROR => tracing::error!("{text}"),
        sys::ggml_log_level_GGML_LOG_LEVEL_WARN => tracing::warn!("{text}"),
        _ => tracing::debug!("{text}"),
    }
}
