//! The devices that ggml knows.
#![expect(unsafe_code, reason = "ggml is C; each call says why it is sound")]

use std::ffi::{CStr, c_char};

use whisper_rs::whisper_rs_sys as sys;

use crate::engine::device::{Device, Kind};

/// All of them, in ggml's order. The first call starts the GPU's driver.
pub fn all() -> Vec<Device> {
    // SAFETY: takes nothing and returns a number
    let count = unsafe { sys::ggml_backend_dev_count() };
    (0..count).map(device).collect()
}

/// Whether this processor, and the kernels this program was built with, multiply bf16 matrices in hardware: 1.7 times as
/// fast as f16, at the same accuracy.
pub fn multiplies_bf16() -> bool {
    // SAFETY: asks what the kernels were built for
    unsafe { sys::ggml_cpu_has_avx512_bf16() != 0 }
}

fn device(index: usize) -> Device {
    let (mut free, mut total) = (0, 0);
    // SAFETY: the index is less than the count; a device and its names live as long as the program, and the two numbers
    // outlive the call
    let (kind, name, description) = unsafe {
        let device = sys::ggml_backend_dev_get(index);
        sys::ggml_backend_dev_memory(device, &mut free, &mut total);
        let names = (sys::ggml_backend_dev_name(device), sys::ggml_backend_dev_description(device));
        (sys::ggml_backend_dev_type(device), text(names.0), text(names.1))
    };
    let kind = match kind {
        sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_CPU => Kind::Cpu,
        sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_GPU
        | sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_IGPU => Kind::Gpu,
        _ => Kind::Other,
    };
    Device { kind, name, description, memory_bytes: total as u64, free_bytes: free as u64 }
}

/// # Safety
/// Null, or a C string that nothing changes meanwhile.
unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().trim().to_owned()
}
