//! A model's weights where the computation wants them: read once from the ggml file, each matrix stored as the half of
//! Whisper that it belongs to likes it, in the device's own memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::native::backend::MemoryKind;
use super::native::devices;
use super::native::store::{Store, fill};
use super::native::tensor::{Kind, Tensor};
use crate::model::ggml::{Contents, Hparams, Tensor as Source};

/// Numbers converted at a time.
const CHUNK: usize = 1 << 18;

/// What a row of the first convolution is filled up to a multiple of, with zeros: kernels take whole vectors.
const VECTOR: usize = 32;

/// How matrices are stored. What the file has quantised stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// Those that are multiplied with all of a window: the encoder's, and those of the decoder's cross keys and values.
    /// Arithmetic limits them.
    pub encoder: Kind,
    /// Those that are read for each token. How many bytes they have limits them.
    pub decoder: Kind,
    /// Keys and values of a window.
    pub attention: Kind,
}

impl Kinds {
    /// The kinds of this name: `auto`, one for all matrices, or the encoder's and the decoder's with a comma between.
    ///
    /// # Errors
    /// A sentence: there is no such kind.
    pub fn named(name: &str, on_gpu: bool) -> Result<Self, String> {
        let fast = if devices::multiplies_bf16() { Kind::BF16 } else { Kind::F16 };
        let auto = match on_gpu {
            true => Self { encoder: Kind::F16, decoder: Kind::F16, attention: Kind::F16 },
            false => Self { encoder: fast, decoder: Kind::Q8_0, attention: fast },
        };
        if name == "auto" {
            return Ok(auto);
        }
        let kind = |name: &str| match name {
            "f32" => Ok(Kind::F32),
            "f16" => Ok(Kind::F16),
            "bf16" => Ok(Kind::BF16),
            "q8_0" => Ok(Kind::Q8_0),
            other => Err(format!("--weights {other}: not one of f32, f16, bf16 and q8_0")),
        };
        let mut names = name.split(',').map(kind);
        let encoder = names.next().unwrap_or_else(|| kind(name))?;
        let decoder = names.next().unwrap_or(Ok(encoder))?;
        let attention = names.next().unwrap_or(Ok(if encoder == Kind::BF16 { encoder } else { Kind::F16 }))?;
        Ok(Self { encoder, decoder, attention })
    }
}

/// A matrix and what is added to its products.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// `[inputs, outputs]`.
    pub weight: Tensor<'static>,
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
    pub vocabulary: Tensor<'static>,
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
        let mut loader = Loader::new(contents, kinds)?;
        let encoder = loader.encoder(&hparams)?;
        let decoder = loader.decoder(&hparams)?;
        let Loader { store, mut jobs, .. } = loader;
        let bytes = store.allocate(memory, "the model's weights")?;
        jobs.sort_by_key(|job| job.source.offset);
        let next = AtomicUsize::new(0);
        let file = File::open(path)?;
        let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..threads).map(|_| scope.spawn(|| read_all(&file, &jobs, &next))).collect();
            readers.into_iter().try_for_each(|reader| {
                reader.join().unwrap_or_else(|_| Err(io::Error::other("bug: reading the weights panicked")))
            })
        })?;
        Ok(Self { hparams, kinds, encoder, decoder, bytes })
    }
}

/// What is to be read into a tensor.
struct Job {
    source: Source,
    target: Tensor<'static>,
    /// First byte of the target.
    offset: usize,
    shape: Shape,
}

/// How the numbers in the file become the tensor's.
#[derive(Clone, Copy)]
enum Shape {
    /// One after the other, in rows of so many.
    Rows(usize),
    /// A convolution's, `[taps, channels, outputs]`: of each output tap by tap, filled up with zeros to so many.
    Taps(usize),
}

struct Loader<'a> {
    contents: &'a Contents,
    kinds: Kinds,
    store: Store,
    jobs: Vec<Job>,
}

impl<'a> Loader<'a> {
    fn new(contents: &'a Contents, kinds: Kinds) -> io::Result<Self> {
        Ok(Self { contents, kinds, store: Store::new(contents.tensors.len())?, jobs: Vec::new() })
    }

    fn encoder(&mut self, hparams: &Hparams) -> io::Result<Encoder> {
        let (width, mels) = (hparams.audio_state as usize, hparams.mels as usize);
        let positions = self.fresh(Kind::F32, [width, hparams.audio_context as usize, 1, 1]);
        self.read("encoder.positional_embedding", positions, 0)?;
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

    fn decoder(&mut self, hparams: &Hparams) -> io::Result<Decoder> {
        let width = hparams.text_state as usize;
        let vocabulary = "decoder.token_embedding.weight";
        let stored = self.stored(vocabulary, self.kinds.decoder)?;
        let tokens = self.fresh(stored, [width, hparams.vocabulary as usize, 1, 1]);
        self.read(vocabulary, tokens, 0)?;
        Ok(Decoder {
            vocabulary: tokens,
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
        self.read(&format!("{name}.weight"), scale, 0)?;
        self.read(&format!("{name}.bias"), shift, 0)?;
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
            self.read(&format!("{part}.weight"), weight, rows * stored.row_bytes(inputs))?;
            if !part.ends_with(".key") {
                self.expect(&format!("{part}.bias"), outputs)?;
                self.read(&format!("{part}.bias"), bias, rows * 4)?;
            }
        }
        Ok(Linear { weight, bias })
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
        self.read(&format!("{name}.bias"), bias, 0)?;
        Ok(Linear { weight, bias })
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

    fn read(&mut self, name: &str, target: Tensor<'static>, offset: usize) -> io::Result<()> {
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

fn read_all(file: &File, jobs: &[Job], next: &AtomicUsize) -> io::Result<()> {
    let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        match job.shape {
            Shape::Rows(width) => job.read_rows(file, width, &mut bytes, &mut numbers)?,
            Shape::Taps(row) => job.read_taps(file, row, &mut bytes, &mut numbers)?,
        }
    }
    Ok(())
}

impl Job {
    fn read_rows(&self, file: &File, width: usize, bytes: &mut Vec<u8>, numbers: &mut Vec<f32>) -> io::Result<()> {
        let (from, to) = (Kind::of_file(self.source.kind), self.target.kind());
        let row_bytes = from.row_bytes(width);
        let rows = self.source.bytes as usize / row_bytes;
        let at_once = (CHUNK / width).max(1);
        for first in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - first);
            bytes.resize(count * row_bytes, 0);
            file.read_exact_at(bytes, self.source.offset + (first * row_bytes) as u64)?;
            let offset = self.offset + first * to.row_bytes(width);
            if from == to {
                fill(self.target, bytes, offset)?;
                continue;
            }
            from.to_f32(bytes, numbers).map_err(io::Error::other)?;
            fill(self.target, &to.from_f32(numbers, width), offset)?;
        }
        Ok(())
    }

    fn read_taps(&self, file: &File, row: usize, bytes: &mut Vec<u8>, numbers: &mut Vec<f32>) -> io::Result<()> {
        bytes.resize(self.source.bytes as usize, 0);
        file.read_exact_at(bytes, self.source.offset)?;
        Kind::of_file(self.source.kind).to_f32(bytes, numbers).map_err(io::Error::other)?;
        let channels = self.source.dims.get(1).map_or(1, |channels| *channels as usize);
        let mut by_tap = Vec::with_capacity(numbers.len());
        for output in numbers.chunks(3 * channels) {
            for tap in 0..3 {
                by_tap.extend(output.iter().skip(tap).step_by(3));
            }
            by_tap.resize(by_tap.len().next_multiple_of(row), 0.0);
        }
        fill(self.target, &self.target.kind().from_f32(&by_tap, row), self.offset)
    }
}
