//! A model's weights where the computation wants them: read once from the ggml file, each matrix stored as the half of
//! Whisper that it belongs to likes it, in the device's own memory.

use std::io;
use std::path::Path;

use self::loader::Loader;
use super::kinds::Kinds;
use super::native::backend::MemoryKind;
use super::native::tensor::Tensor;
use crate::model::ggml::{Contents, Hparams};

mod loader;
mod reading;

/// How a matrix lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As ggml has it.
    Plain,
    /// For the processor's tile unit, which multiplies the whole of it.
    Tiles,
    /// For its products of bytes.
    Octets,
}

/// A matrix `[inputs, outputs]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix {
    /// Its numbers.
    pub numbers: Tensor<'static>,
    /// How they lie.
    pub layout: Layout,
}

/// A matrix and what is added to its products.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// Multiplied.
    pub weight: Matrix,
    /// `[outputs]`.
    pub bias: Tensor<'static>,
}

/// What follows a normalisation: `[width]` each.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    /// Multiplied.
    pub scale: Tensor<'static>,
    /// Then added.
    pub shift: Tensor<'static>,
}

/// Attention of positions to positions of the same sequence.
#[derive(Debug, Clone, Copy)]
pub struct SelfAttention {
    /// Before it.
    pub norm: Norm,
    /// Query, key and value, one below the other.
    pub query_key_value: Linear,
    /// After it.
    pub out: Linear,
}

/// Attention of text positions to the window.
#[derive(Debug, Clone, Copy)]
pub struct CrossAttention {
    /// Before it.
    pub norm: Norm,
    /// Of the text.
    pub query: Linear,
    /// Key and value of the window, one below the other.
    pub key_value: Linear,
    /// After it.
    pub out: Linear,
}

/// The two layers after the attention.
#[derive(Debug, Clone, Copy)]
pub struct Mlp {
    /// Before them.
    pub norm: Norm,
    /// To four times the width.
    pub up: Linear,
    /// And back.
    pub down: Linear,
}

/// A layer of the encoder.
#[derive(Debug, Clone, Copy)]
pub struct EncoderBlock {
    /// First.
    pub attention: SelfAttention,
    /// Then.
    pub mlp: Mlp,
}

/// A layer of the decoder.
#[derive(Debug, Clone, Copy)]
pub struct DecoderBlock {
    /// First.
    pub attention: SelfAttention,
    /// Then.
    pub cross: CrossAttention,
    /// Last.
    pub mlp: Mlp,
}

/// The half that hears.
#[derive(Debug)]
pub struct Encoder {
    /// Over three frames: `[3 x mels, width]`, rows filled up with zeros.
    pub conv1: Linear,
    /// Over three of what the first gives, from one to the next but one: `[3 x width, width]`.
    pub conv2: Linear,
    /// `[width, positions]`.
    pub positions: Tensor<'static>,
    /// In order.
    pub blocks: Vec<EncoderBlock>,
    /// Last.
    pub norm: Norm,
}

/// The half that writes.
#[derive(Debug)]
pub struct Decoder {
    /// `[width, vocabulary]`: what makes logits of a position. (Embeddings are read from the file: [`super::embedding`].)
    pub vocabulary: Matrix,
    /// In order.
    pub blocks: Vec<DecoderBlock>,
    /// Last.
    pub norm: Norm,
}

/// All of a model but its embeddings.
#[derive(Debug)]
pub struct Weights {
    /// Its dimensions.
    pub hparams: Hparams,
    /// How its matrices are stored.
    pub kinds: Kinds,
    /// The half that hears.
    pub encoder: Encoder,
    /// The half that writes.
    pub decoder: Decoder,
    /// How much memory they take.
    pub bytes: usize,
}

impl Weights {
    /// Reads them, several at a time.
    ///
    /// # Errors
    /// The file cannot be read, lacks a tensor or has one of another shape; no memory.
    pub fn load(path: &Path, contents: &Contents, kinds: Kinds, memory: MemoryKind) -> io::Result<Self> {
        let hparams = contents.hparams;
        let mut loader = Loader::new(contents, kinds, memory.is_own())?;
        let encoder = loader.encoder(&hparams)?;
        let decoder = loader.decoder(&hparams)?;
        let bytes = loader.read(path, memory)?;
        Ok(Self { hparams, kinds, encoder, decoder, bytes })
    }
}
