//! What stands for a token at a position when it enters the decoder. The vocabulary's matrix lies in memory as it is best
//! multiplied; the few rows that are looked up are read from the file, where they are whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::native::tensor::Kind;
use super::vocabulary::Token;
use crate::model::ggml::{Contents, Tensor as Source};

/// Looks up tokens and positions.
#[derive(Debug)]
pub struct Embedding {
    file: File,
    tokens: Source,
    /// `width` numbers for each position.
    positions: Vec<f32>,
    width: usize,
}

impl Embedding {
    /// Of this model file.
    ///
    /// # Errors
    /// It cannot be read, or lacks them.
    pub fn open(path: &Path, contents: &Contents) -> io::Result<Self> {
        let tensor = |name: &str| {
            let lacks = || io::Error::new(io::ErrorKind::InvalidData, format!("{} lacks {name}", path.display()));
            contents.tensors.get(name).cloned().ok_or_else(lacks)
        };
        let (tokens, positions) = (tensor("decoder.token_embedding.weight")?, tensor("decoder.positional_embedding")?);
        let file = File::open(path)?;
        let mut bytes = vec![0; positions.bytes as usize];
        file.read_exact_at(&mut bytes, positions.offset)?;
        let mut numbers = Vec::new();
        Kind::of_file(positions.kind).to_f32(&bytes, &mut numbers).map_err(io::Error::other)?;
        Ok(Self { file, tokens, positions: numbers, width: contents.hparams.text_state as usize })
    }

    /// Appends `width` numbers: those of the token plus those of the position.
    ///
    /// # Errors
    /// A sentence: the file cannot be read any more, or there is no such token or position.
    pub fn look_up(&self, token: Token, position: usize, out: &mut Vec<f32>) -> Result<(), String> {
        let kind = Kind::of_file(self.tokens.kind);
        let row_bytes = kind.row_bytes(self.width);
        let row = u64::try_from(token).map_err(|_| format!("bug: token {token}"))?;
        let offset = self.tokens.offset + row * row_bytes as u64;
        let place = self.positions.get(position * self.width..(position + 1) * self.width);
        let place = place.filter(|_| offset < self.tokens.offset + self.tokens.bytes);
        let place = place.ok_or_else(|| format!("bug: token {token} at position {position}"))?;
        let mut bytes = vec![0; row_bytes];
        self.file.read_exact_at(&mut bytes, offset).map_err(|e| format!("failed to read an embedding: {e}"))?;
        let mut numbers = Vec::with_capacity(self.width);
        kind.to_f32(&bytes, &mut numbers)?;
        out.extend(numbers.iter().zip(place).map(|(token, place)| token + place));
        Ok(())
    }
}
