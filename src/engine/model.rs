//! A model that the engine has loaded: weights, embeddings, vocabulary.

use std::io;
use std::path::Path;

use super::embedding::Embedding;
use super::kinds::Kinds;
use super::native::backend::MemoryKind;
use super::vocabulary::Vocabulary;
use super::weights::Weights;
use crate::model::ggml;

/// Read by all lanes.
#[derive(Debug)]
pub struct Model {
    /// What is multiplied.
    pub weights: Weights,
    /// What is looked up.
    pub embedding: Embedding,
    /// What is written.
    pub vocabulary: Vocabulary,
}

impl Model {
    /// Loads a ggml file.
    ///
    /// # Errors
    /// It is not a Whisper model, or there is no memory for it; names the file.
    pub fn load(path: &Path, kinds: Kinds, memory: MemoryKind) -> io::Result<Self> {
        let contents = ggml::inspect(path).map_err(io::Error::other)?;
        let texts = ggml::token_texts(path).map_err(io::Error::other)?;
        let named = |e: io::Error| io::Error::new(e.kind(), format!("failed to load {}: {e}", path.display()));
        Ok(Self {
            weights: Weights::load(path, &contents, kinds, memory).map_err(named)?,
            embedding: Embedding::open(path, &contents).map_err(named)?,
            vocabulary: Vocabulary::new(&contents.hparams, texts),
        })
    }
}
