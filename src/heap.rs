//! How the C library's heap, which Rust's is too, gives memory back.
#![expect(unsafe_code, reason = "a setting of the C library; the call says why it is sound")]

/// Blocks of so many bytes are mapped by themselves, and unmapped when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: std::ffi::c_int = 256 * 1024;

/// Keeps large blocks out of the heap. glibc maps them by themselves only until the first is freed: from then on blocks
/// of its size, up to 32 MiB, come from the heap, where the words of a transcript settle between the windows' samples (2 MB
/// each) and keep the rest of their pages (mallopt(3), `M_MMAP_THRESHOLD`). A wish: without it more memory is held
/// (`benches/memory.py`).
pub fn give_large_blocks_back() {
    #[cfg(target_env = "gnu")]
    {
        use std::ffi::c_int;
        const M_MMAP_THRESHOLD: c_int = -3;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        // SAFETY: two numbers to a function that may be called at any time; it holds the heap's lock meanwhile
        unsafe { mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES) };
    }
}
