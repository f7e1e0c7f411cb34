//! Whisper models: which there are, where they lie, whether a file is what it should be.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub mod catalogue;
pub mod checksum;
pub mod convert;
pub mod ctranslate2;
pub mod download;
pub mod ggml;
pub mod leftovers;
pub mod mel;
mod pickle;
pub mod pull;
pub mod pypi;
mod reader;
pub mod safetensors;
pub mod speakers;
mod torch;
mod vocabulary;

#[cfg(test)]
mod tests;

use catalogue::{Catalogue, Entry, file_name};

use crate::job::Task;
use crate::job::language::LANGUAGES;

/// A model that is there and sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// `tiny.en`; for a file of the user's own its name without `ggml-` and `.bin`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Of the file, lower case hex; transcripts carry it.
    pub sha256: String,
    /// How many of Whisper's languages it knows, in their order: English alone, 99, or since large-v3 100.
    pub languages: usize,
    /// Was taught to translate.
    pub translates: bool,
    /// Length of the file.
    pub size_bytes: u64,
}

impl Model {
    /// Why it cannot do this, if so. Without a language it is one to be detected.
    pub fn refusal<'a>(&self, languages: impl IntoIterator<Item = &'a str>, task: Task) -> Option<String> {
        let known = LANGUAGES.get(..self.languages).unwrap_or(&LANGUAGES);
        let unknown = languages.into_iter().find(|asked| known.iter().all(|(code, _)| code != asked));
        let name = &self.name;
        match (unknown, task) {
            (Some(_), _) | (None, Task::Translate) if self.languages <= 1 => {
                Some(format!("model {name} is English only; choose a multilingual one, such as base"))
            }
            (Some(code), _) => Some(format!("model {name} does not know the language {code}, large-v3 does")),
            (None, Task::Translate) if !self.translates => {
                Some(format!("model {name} does not translate; choose one that does, such as large-v3 or base"))
            }
            _ => None,
        }
    }
}

/// Why a model cannot be used or fetched.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A model of the catalogue that was not fetched yet.
    #[error("the model {name} is not in {}: run `transcription-worker model pull {name}`", dir.display())]
    NotFetched {
        /// Its name.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// Neither a name that is known nor a file.
    #[error("there is no model or file {name}; the catalogue has {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file with the name of a published model that is not it.
    #[error("{} is not the published {name}: {what}; run `transcription-worker model pull {name}`", path.display())]
    NotPublished {
        /// The model's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A file is there and not what it should be.
    #[error("{} is not usable: at byte {offset}: {what}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// The file system refuses.
    #[error("failed to {verb} {}: {error}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// A source cannot be had: another may.
    #[error("{0}")]
    Unavailable(String),
    /// A whole sentence.
    #[error("{0}")]
    Invalid(String),
}

impl ModelError {
    fn io(verb: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { verb, path: path.to_owned(), error }
    }
}

/// The model of that name in `models_dir` (`ggml-{name}.bin`, of the catalogue or the user's own), or the ggml file of
/// that path. Cheap after the first time: the file is walked without reading its weights, its checksum is remembered.
///
/// # Errors
/// `NotFetched` with the command to run; `NotPublished` for a catalogue model of another length or checksum;
/// `BadFile` for what whisper.cpp would not survive; `Unknown`; `Io`.
pub fn resolve(name_or_path: &str, models_dir: &Path) -> Result<Model, ModelError> {
    resolve_among(&Catalogue::built_in()?, name_or_path, models_dir)
}

fn resolve_among(catalogue: &Catalogue, name_or_path: &str, models_dir: &Path) -> Result<Model, ModelError> {
    let named = models_dir.join(file_name(name_or_path));
    let known = catalogue.find(name_or_path);
    let (name, path) = if named.is_file() {
        (name_or_path.to_owned(), named)
    } else if let Some(entry) = known {
        return Err(ModelError::NotFetched { name: entry.name.clone(), dir: models_dir.to_owned() });
    } else if Path::new(name_or_path).is_file() {
        (stem(Path::new(name_or_path)), PathBuf::from(name_or_path))
    } else {
        return Err(ModelError::Unknown { name: name_or_path.to_owned(), known: catalogue.names() });
    };
    let size_bytes = fs::metadata(&path).map_err(|e| ModelError::io("read", &path, e))?.len();
    if let Some(entry) = known {
        check_length(entry, &path, size_bytes)?;
    }
    let hparams = ggml::inspect(&path)?.hparams;
    let translates = known.map_or_else(|| hparams.translates(), |entry| entry.translates);
    let sha256 = checksum::remembered(&path)?;
    if let Some(entry) = known {
        check_sha256(entry, &path, &sha256)?;
    }
    Ok(Model { name, path, sha256, languages: hparams.languages(), translates, size_bytes })
}

/// Reads all of a catalogue model again, whatever was remembered of it.
///
/// # Errors
/// As [`resolve`].
pub fn verify(entry: &Entry, models_dir: &Path) -> Result<(), ModelError> {
    let path = entry.path_in(models_dir);
    if !path.is_file() {
        return Err(ModelError::NotFetched { name: entry.name.clone(), dir: models_dir.to_owned() });
    }
    ggml::inspect(&path)?;
    let sha256 = checksum::compute(&path)?;
    check_sha256(entry, &path, &sha256)?;
    checksum::remember(&path, &sha256);
    Ok(())
}

fn check_length(entry: &Entry, path: &Path, bytes: u64) -> Result<(), ModelError> {
    if entry.has_length(bytes) {
        return Ok(());
    }
    let what = format!("{bytes} bytes, not {}", entry.bytes);
    Err(ModelError::NotPublished { name: entry.name.clone(), path: path.to_owned(), what })
}

fn check_sha256(entry: &Entry, path: &Path, sha256: &str) -> Result<(), ModelError> {
    if entry.is(sha256) {
        return Ok(());
    }
    let what = format!("its sha256 is {sha256}");
    Err(ModelError::NotPublished { name: entry.name.clone(), path: path.to_owned(), what })
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("ggml-").unwrap_or(&stem).to_owned()
}

/// Where models lie if nobody says: `TRANSCRIPTION_MODELS_DIR`; `models/` here, where that holds models or the
/// catalogue; else the user's data folder or `/var/lib`, whichever exists, else the user's.
pub fn default_models_dir() -> PathBuf {
    const FOLDER: &str = "transcription-worker/models";
    let var = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = var("TRANSCRIPTION_MODELS_DIR") {
        return dir;
    }
    let here = PathBuf::from("models");
    if here.join("catalogue.toml").is_file() || !present_in(&here).is_empty() {
        return here;
    }
    let data = var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")));
    let of_user = data.map(|data| data.join(FOLDER));
    let of_system = Path::new("/var/lib").join(FOLDER);
    match of_user {
        Some(dir) if dir.is_dir() || !of_system.is_dir() => dir,
        _ => of_system,
    }
}

/// Where copies of models may lie, if not beside them: systemd's `CACHE_DIRECTORY`, else the user's cache folder; `None`
/// where neither is known.
pub fn cache_dir() -> Option<PathBuf> {
    let var = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_user = || var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")));
    let ours = var("CACHE_DIRECTORY").or_else(|| Some(of_user()?.join("transcription-worker")));
    Some(ours?.join("models"))
}

/// The names of the models in a folder, sorted; of the catalogue or not, sound or not.
pub fn present_in(models_dir: &Path) -> Vec<String> {
    let files = fs::read_dir(models_dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| file.file_name().into_string().ok())
        .filter_map(|file| Some(file.strip_prefix("ggml-")?.strip_suffix(".bin")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// Gives a finished file its name: synced first, so that after a crash there is the whole file or none.
fn place(temp: &Path, out: &Path) -> Result<(), ModelError> {
    let dir = folder_of(out);
    let placed = File::open(temp)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(temp, out))
        .and_then(|()| File::open(dir)?.sync_all());
    placed.map_err(|e| ModelError::io("write", out, e))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
