//! Which tensors a model has, of which shapes and kinds, and what in its file belongs into them.

use std::io;
use std::path::Path;

use super::reading::{self, Job, Shape};
use super::{
    CrossAttention, Decoder, DecoderBlock, Encoder, EncoderBlock, Layout, Linear, Matrix, Mlp, Norm, SelfAttention,
};
use crate::engine::kinds::Kinds;
use crate::engine::native::backend::MemoryKind;
use crate::engine::native::store::Store;
use crate::engine::native::tensor::{Kind, Tensor};
use crate::engine::native::{octets, tiles};
use crate::model::ggml::{Contents, Hparams, Tensor as Source};

/// What a row of the first convolution is filled up to a multiple of, with zeros: kernels take whole vectors.
const VECTOR: usize = 32;

/// Tensors made one after the other, and what is to be read into each.
pub struct Loader<'a> {
    contents: &'a Contents,
    kinds: Kinds,
    store: Store,
    jobs: Vec<Job>,
    /// Whether matrices lie in the program's own memory, where they are laid out for its processor.
    is_own: bool,
    laid_out: Vec<Matrix>,
}

impl<'a> Loader<'a> {
    /// Of a file with these contents; in the program's own memory or in a GPU's.
    ///
    /// # Errors
    /// No memory.
    pub fn new(contents: &'a Contents, kinds: Kinds, is_own: bool) -> io::Result<Self> {
        let store = Store::new(contents.tensors.len())?;
        Ok(Self { contents, kinds, store, jobs: Vec::new(), is_own, laid_out: Vec::new() })
    }

    /// The tensors of the encoder.
    ///
    /// # Errors
    /// The file lacks one or has one of another shape.
    pub fn encoder(&mut self, hparams: &Hparams) -> io::Result<Encoder> {
        let (width, mels) = (hparams.audio_state as usize, hparams.mels as usize);
        let positions = self.fresh(Kind::F32, [width, hparams.audio_context as usize, 1, 1]);
        self.fill("encoder.positional_embedding", positions, 0)?;
        Ok(Encoder {
            conv1: self.convolution("encoder.conv1", mels, width)?,
            conv2: self.convolution("encoder.conv2", width, width)?,
            positions,
            blocks: (0..hparams.audio_layers)
                .map(|layer| {
                    let name = format!("encoder.blocks.{layer}");
                    let kind = self.kinds.encoder;
                    Ok(EncoderBlock {
                        attention: self.self_attention(&name, kind, width)?,
                        mlp: self.mlp(&name, kind, width)?,
                    })
                })
                .collect::<io::Result<_>>()?,
            norm: self.norm("encoder.ln_post", width)?,
        })
    }

    /// Those of the decoder.
    ///
    /// # Errors
    /// As [`Self::encoder`].
    pub fn decoder(&mut self, hparams: &Hparams) -> io::Result<Decoder> {
        let width = hparams.text_state as usize;
        let vocabulary = "decoder.token_embedding.weight";
        let stored = self.stored(vocabulary, self.kinds.decoder)?;
        let tokens = self.fresh(stored, [width, hparams.vocabulary as usize, 1, 1]);
        self.fill(vocabulary, tokens, 0)?;
        Ok(Decoder {
            vocabulary: self.matrix(tokens, false),
            blocks: (0..hparams.text_layers)
                .map(|layer| {
                    let name = format!("decoder.blocks.{layer}");
                    let kind = self.kinds.decoder;
                    Ok(DecoderBlock {
                        attention: self.self_attention(&name, kind, width)?,
                        cross: self.cross_attention(&name, width)?,
                        mlp: self.mlp(&name, kind, width)?,
                    })
                })
                .collect::<io::Result<_>>()?,
            norm: self.norm("decoder.ln", width)?,
        })
    }

    /// Reads all of them into memory of this kind; how many bytes they take.
    ///
    /// # Errors
    /// The file cannot be read; no memory.
    pub fn read(self, path: &Path, memory: MemoryKind) -> io::Result<usize> {
        let bytes = self.store.allocate(memory, "the model's weights")?;
        reading::read(path, self.jobs)?;
        reading::lay_out(&self.laid_out)?;
        Ok(bytes)
    }

    fn self_attention(&mut self, block: &str, kind: Kind, width: usize) -> io::Result<SelfAttention> {
        let name = format!("{block}.attn");
        let parts = [format!("{name}.query"), format!("{name}.key"), format!("{name}.value")];
        Ok(SelfAttention {
            norm: self.norm(&format!("{block}.attn_ln"), width)?,
            query_key_value: self.stacked(&parts, kind, width, width)?,
            out: self.stacked(&[format!("{name}.out")], kind, width, width)?,
        })
    }

    fn cross_attention(&mut self, block: &str, width: usize) -> io::Result<CrossAttention> {
        let name = format!("{block}.cross_attn");
        let (once, each_token) = (self.kinds.encoder, self.kinds.decoder);
        Ok(CrossAttention {
            norm: self.norm(&format!("{block}.cross_attn_ln"), width)?,
            query: self.stacked(&[format!("{name}.query")], each_token, width, width)?,
            key_value: self.stacked(&[format!("{name}.key"), format!("{name}.value")], once, width, width)?,
            out: self.stacked(&[format!("{name}.out")], each_token, width, width)?,
        })
    }

    fn mlp(&mut self, block: &str, kind: Kind, width: usize) -> io::Result<Mlp> {
        Ok(Mlp {
            norm: self.norm(&format!("{block}.mlp_ln"), width)?,
            up: self.stacked(&[format!("{block}.mlp.0")], kind, width, 4 * width)?,
            down: self.stacked(&[format!("{block}.mlp.2")], kind, 4 * width, width)?,
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> io::Result<Norm> {
        let [scale, shift] = [(); 2].map(|()| self.fresh(Kind::F32, [width, 1, 1, 1]));
        self.fill(&format!("{name}.weight"), scale, 0)?;
        self.fill(&format!("{name}.bias"), shift, 0)?;
        Ok(Norm { scale, shift })
    }

    /// Matrices one below the other, so that they are multiplied at once. Keys have no bias: theirs stays zero.
    fn stacked(&mut self, parts: &[String], kind: Kind, inputs: usize, outputs: usize) -> io::Result<Linear> {
        let first = parts.first().map_or("", String::as_str);
        let stored = self.stored(&format!("{first}.weight"), kind)?;
        let weight = self.fresh(stored, [inputs, parts.len() * outputs, 1, 1]);
        let bias = self.fresh(Kind::F32, [parts.len() * outputs, 1, 1, 1]);
        for (index, part) in parts.iter().enumerate() {
            let rows = index * outputs;
            self.expect(&format!("{part}.weight"), inputs * outputs)?;
            self.fill(&format!("{part}.weight"), weight, rows * stored.row_bytes(inputs))?;
            if !part.ends_with(".key") {
                self.expect(&format!("{part}.bias"), outputs)?;
                self.fill(&format!("{part}.bias"), bias, rows * 4)?;
            }
        }
        Ok(Linear { weight: self.matrix(weight, true), bias })
    }

    /// A matrix laid out as this processor likes it; is it always multiplied as a whole?
    fn matrix(&mut self, numbers: Tensor<'static>, is_whole: bool) -> Matrix {
        let (kind, inputs, outputs) = (numbers.kind(), numbers.dim(0), numbers.dim(1));
        let layout = match self.is_own {
            true if is_whole && tiles::are_there() && tiles::fit(kind, inputs, outputs) => Layout::Tiles,
            true if octets::are_there() && octets::fit(kind, inputs) => Layout::Octets,
            _ => Layout::Plain,
        };
        let matrix = Matrix { numbers, layout };
        self.laid_out.push(matrix);
        matrix
    }

    fn convolution(&mut self, name: &str, channels: usize, outputs: usize) -> io::Result<Linear> {
        let row = (3 * channels).next_multiple_of(VECTOR);
        let kind = if self.kinds.encoder.is_quantised() { Kind::F16 } else { self.kinds.encoder };
        let weight = self.fresh(kind, [row, outputs, 1, 1]);
        let bias = self.fresh(Kind::F32, [outputs, 1, 1, 1]);
        let source = self.source(&format!("{name}.weight"))?;
        if source.dims != [3, channels as u32, outputs as u32] {
            return Err(unusable(&format!("{name}.weight has the shape {:?}", source.dims)));
        }
        self.jobs.push(Job { source, target: weight, offset: 0, shape: Shape::Taps(row) });
        self.fill(&format!("{name}.bias"), bias, 0)?;
        Ok(Linear { weight: self.matrix(weight, true), bias })
    }

    fn fresh(&mut self, kind: Kind, dims: [usize; 4]) -> Tensor<'static> {
        self.store.tensor(kind, dims)
    }

    /// What the matrix is stored as: the kind wished for, unless the file has it quantised or its rows are not whole blocks.
    fn stored(&self, name: &str, wished: Kind) -> io::Result<Kind> {
        let source = self.source(name)?;
        let has = Kind::of_file(source.kind);
        let width = source.dims.first().map_or(0, |width| *width as usize);
        Ok(if has.is_quantised() || !width.is_multiple_of(wished.block()) { has } else { wished })
    }

    fn source(&self, name: &str) -> io::Result<Source> {
        self.contents.tensors.get(name).cloned().ok_or_else(|| unusable(&format!("it lacks {name}")))
    }

    fn expect(&self, name: &str, numbers: usize) -> io::Result<()> {
        let dims = self.source(name)?.dims;
        if dims.iter().map(|dim| *dim as usize).product::<usize>() == numbers {
            return Ok(());
        }
        Err(unusable(&format!("{name} has the shape {dims:?}")))
    }

    fn fill(&mut self, name: &str, target: Tensor<'static>, offset: usize) -> io::Result<()> {
        let source = self.source(name)?;
        let numbers: usize = source.dims.iter().map(|dim| *dim as usize).product();
        let width = target.dim(0).min(numbers);
        let room = target.bytes().saturating_sub(offset);
        if target.kind().row_bytes(numbers) > room || !numbers.is_multiple_of(width) {
            return Err(unusable(&format!("{name} has the shape {:?}", source.dims)));
        }
        self.jobs.push(Job { source, target, offset, shape: Shape::Rows(width) });
        Ok(())
    }
}

fn unusable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the model file is not usable: {what}"))
}
