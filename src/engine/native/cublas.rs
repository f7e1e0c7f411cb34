//! NVIDIA's matrix products. A program that `scripts/cuda` built starts without their library and looks for it at the first
//! product, where nothing can be said any more: so it is looked for here before.
#![expect(unsafe_code, reason = "loading a library runs its code; each call says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};

/// The library that this build looks for; where there is none the loader had to find it before the program began.
pub const WANTED: Option<&str> = option_env!("TRANSCRIPTION_CUBLAS");

/// Where toolkits are installed, besides where the loader looks.
const TOOLKITS: &str = "/usr/local";

const RTLD_NOW: c_int = 2;

/// Finds it, and leaves it loaded until the program ends: ggml's own look finds it by its name then.
///
/// # Errors
/// It is nowhere; a sentence with the cure.
pub fn load() -> Result<(), String> {
    WANTED.map_or(Ok(()), |name| load_from(name, &folders(Path::new(TOOLKITS))))
}

fn load_from(name: &str, folders: &[PathBuf]) -> Result<(), String> {
    let refusal = match open(Path::new(name)) {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    for folder in folders.iter().filter(|folder| folder.join(name).exists()) {
        // what it needs lies beside it, where the loader does not look by itself
        let beside = name.replace("cublas", "cublasLt");
        if open(&folder.join(beside)).and_then(|()| open(&folder.join(name))).is_ok() {
            return Ok(());
        }
    }
    let package = name.trim_start_matches("lib").replace(".so.", "-");
    Err(format!("{refusal}: install CUDA's lib{package}, or name its folder in LD_LIBRARY_PATH"))
}

/// The folders of libraries of all toolkits below `root`.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let toolkits = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("cuda"));
    let mut folders: Vec<PathBuf> = toolkits.map(|entry| entry.path().join("lib64")).collect();
    folders.sort();
    folders
}

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

fn open(path: &Path) -> Result<(), String> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "a path with a NUL".to_owned())?;
    // SAFETY: a C string that outlives the call; the library is NVIDIA's, whose initialisers may run at any time, and it
    // is never closed
    if !unsafe { dlopen(name.as_ptr(), RTLD_NOW) }.is_null() {
        return Ok(());
    }
    // SAFETY: what the call before says of its failure: a C string that stays until the next call of this thread, or null
    let why = unsafe {
        let why = dlerror();
        (!why.is_null()).then(|| CStr::from_ptr(why).to_string_lossy().into_owned())
    };
    Err(why.unwrap_or_else(|| format!("{} cannot be loaded", path.display())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_library_that_is_nowhere_is_named_with_the_cure() {
        let why = load_from("libcublas.so.99", &[]).unwrap_err();
        assert!(why.contains("libcublas.so.99") && why.contains("install CUDA's libcublas-99"), "{why}");
        assert_eq!(load_from("libm.so.6", &[]), Ok(()));
    }

    #[test]
    fn each_toolkit_has_its_folder() {
        let root = tempfile::tempdir().unwrap();
        ["cuda-13.0", "cuda", "bin"].iter().for_each(|name| fs::create_dir(root.path().join(name)).unwrap());
        let expected = ["cuda/lib64", "cuda-13.0/lib64"].map(|folder| root.path().join(folder));
        assert_eq!(folders(root.path()), expected);
        // a file that is no library is passed over
        let fake = root.path().join("cuda/lib64");
        fs::create_dir(&fake).unwrap();
        fs::write(fake.join("libcublas.so.99"), "no library").unwrap();
        assert!(load_from("libcublas.so.99", &folders(root.path())).is_err());
    }
}
