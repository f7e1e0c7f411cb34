//! A faster-whisper model as a ggml file: the same weights under OpenAI's names, matrices as f16.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::ctranslate2::Weights;
use super::ggml::{self, Hparams};
use super::{ModelError, folder_of, place, vocabulary};

/// Width of one attention head in every Whisper.
const HEAD_WIDTH: usize = 64;
/// What a faster-whisper folder may hold its vocabulary in, best first.
const VOCABULARIES: [&str; 3] = ["vocabulary.txt", "vocabulary.json", "tokenizer.json"];

/// The weights and the vocabulary of a user's faster-whisper model, given its folder or its `model.bin`.
///
/// # Errors
/// `Invalid` where one of the two is not there.
pub fn parts_of(source: &Path) -> Result<(PathBuf, PathBuf), ModelError> {
    let weights = if source.is_dir() { source.join("model.bin") } else { source.to_owned() };
    let dir = folder_of(&weights);
    if !weights.is_file() {
        return Err(ModelError::Invalid(format!("{} does not exist", weights.display())));
    }
    let vocabulary = VOCABULARIES.iter().map(|name| dir.join(name)).find(|path| path.is_file());
    let vocabulary = vocabulary
        .ok_or_else(|| ModelError::Invalid(format!("{} has none of {}", dir.display(), VOCABULARIES.join(", "))))?;
    Ok((weights, vocabulary))
}

/// Converts `weights` (CTranslate2) and `vocabulary` to a ggml file that appears at `out` whole or not at all, and is
/// the same byte for byte each time.
///
/// # Errors
/// `BadFile` naming the input and the offset; `Io`.
pub fn convert(weights: &Path, vocabulary: &Path, out: &Path) -> Result<(), ModelError> {
    let mut input = Weights::open(weights)?;
    let tokens = vocabulary::read(vocabulary)?;
    let io = |e| ModelError::io("write", out, e);
    let mut named = Builder::new();
    let temp = named.prefix(".convert-").permissions(readable()).tempfile_in(folder_of(out)).map_err(io)?;
    write_model(&mut input, &tokens, temp.as_file(), out)?;
    ggml::inspect(temp.path())?;
    place(temp.path(), out)
}

fn write_model(input: &mut Weights, tokens: &[Vec<u8>], file: &File, out: &Path) -> Result<(), ModelError> {
    let hparams = hparams(input)?;
    let mut sink = Sink { input, out: BufWriter::new(file), path: out };
    let head = ggml::write_head(&mut sink.out, hparams, tokens);
    sink.written(head)?;
    let width = hparams.audio_state as usize;

    sink.positions("encoder")?;
    for conv in ["conv1", "conv2"] {
        let [filters, channels, kernel] = sink.input.shape(&format!("encoder/{conv}/weight"))?;
        let values = sink.input.rows(&format!("encoder/{conv}/weight"), 0..filters)?;
        sink.write(&format!("encoder.{conv}.weight"), &[filters, channels, kernel], false, &values)?;
        let values = sink.input.rows(&format!("encoder/{conv}/bias"), 0..filters)?;
        // whisper.cpp adds it to a matrix of one column per position
        sink.write(&format!("encoder.{conv}.bias"), &[filters, 1], true, &values)?;
    }
    sink.norm("encoder/layer_norm", "encoder.ln_post")?;
    sink.positions("decoder")?;
    let vocabulary = hparams.vocabulary as usize;
    sink.matrix("decoder/embeddings/weight", 0..vocabulary, "decoder.token_embedding.weight")?;
    sink.norm("decoder/layer_norm", "decoder.ln")?;
    for (stack, layers) in [("encoder", hparams.audio_layers), ("decoder", hparams.text_layers)] {
        for layer in 0..layers {
            let (from, to) = (format!("{stack}/layer_{layer}"), format!("{stack}.blocks.{layer}"));
            sink.self_attention(&format!("{from}/self_attention"), &to, width)?;
            if stack == "decoder" {
                sink.cross_attention(&format!("{from}/attention"), &to, width)?;
            }
            sink.norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.mlp_ln"))?;
            sink.linear(&format!("{from}/ffn/linear_0"), 0..4 * width, &format!("{to}.mlp.0"))?;
            sink.linear(&format!("{from}/ffn/linear_1"), 0..width, &format!("{to}.mlp.2"))?;
        }
    }
    let flushed = sink.out.flush();
    sink.written(flushed)
}

fn hparams(input: &Weights) -> Result<Hparams, ModelError> {
    let [audio_context, audio_state] = input.shape("encoder/position_encodings/encodings")?;
    let [text_context, text_state] = input.shape("decoder/position_encodings/encodings")?;
    let [vocabulary, _] = input.shape("decoder/embeddings/weight")?;
    let [_, mels, _] = input.shape("encoder/conv1/weight")?;
    // dimensions were read from 32 bits each
    let number = |value: usize| value as u32;
    Ok(Hparams {
        vocabulary: number(vocabulary),
        audio_context: number(audio_context),
        audio_state: number(audio_state),
        audio_heads: number(audio_state / HEAD_WIDTH),
        audio_layers: number(input.layers("encoder")),
        text_context: number(text_context),
        text_state: number(text_state),
        text_heads: number(text_state / HEAD_WIDTH),
        text_layers: number(input.layers("decoder")),
        mels: number(mels),
        ftype: 0,
    })
}

/// One model on its way from variables to tensors.
struct Sink<'a> {
    input: &'a mut Weights,
    out: BufWriter<&'a File>,
    path: &'a Path,
}

impl Sink<'_> {
    fn self_attention(&mut self, from: &str, to: &str, width: usize) -> Result<(), ModelError> {
        self.norm(&format!("{from}/layer_norm"), &format!("{to}.attn_ln"))?;
        let stacked = format!("{from}/linear_0");
        self.linear(&stacked, 0..width, &format!("{to}.attn.query"))?;
        // keys have no bias in Whisper: their third of the stacked bias is zero
        self.matrix(&format!("{stacked}/weight"), width..2 * width, &format!("{to}.attn.key.weight"))?;
        self.linear(&stacked, 2 * width..3 * width, &format!("{to}.attn.value"))?;
        self.linear(&format!("{from}/linear_1"), 0..width, &format!("{to}.attn.out"))
    }

    fn cross_attention(&mut self, from: &str, to: &str, width: usize) -> Result<(), ModelError> {
        self.norm(&format!("{from}/layer_norm"), &format!("{to}.cross_attn_ln"))?;
        self.linear(&format!("{from}/linear_0"), 0..width, &format!("{to}.cross_attn.query"))?;
        let stacked = format!("{from}/linear_1");
        self.matrix(&format!("{stacked}/weight"), 0..width, &format!("{to}.cross_attn.key.weight"))?;
        self.linear(&stacked, width..2 * width, &format!("{to}.cross_attn.value"))?;
        self.linear(&format!("{from}/linear_2"), 0..width, &format!("{to}.cross_attn.out"))
    }

    fn positions(&mut self, stack: &str) -> Result<(), ModelError> {
        let name = format!("{stack}/position_encodings/encodings");
        let [positions, width] = self.input.shape(&name)?;
        let values = self.input.rows(&name, 0..positions)?;
        self.write(&format!("{stack}.positional_embedding"), &[positions, width], true, &values)
    }

    fn norm(&mut self, from: &str, to: &str) -> Result<(), ModelError> {
        for (variable, tensor) in [("gamma", "weight"), ("beta", "bias")] {
            let [width] = self.input.shape(&format!("{from}/{variable}"))?;
            self.vector(&format!("{from}/{variable}"), 0..width, &format!("{to}.{tensor}"))?;
        }
        Ok(())
    }

    fn linear(&mut self, from: &str, rows: Range<usize>, to: &str) -> Result<(), ModelError> {
        self.matrix(&format!("{from}/weight"), rows.clone(), &format!("{to}.weight"))?;
        self.vector(&format!("{from}/bias"), rows, &format!("{to}.bias"))
    }

    fn matrix(&mut self, from: &str, rows: Range<usize>, to: &str) -> Result<(), ModelError> {
        let [_, columns] = self.input.shape(from)?;
        let values = self.input.rows(from, rows.clone())?;
        self.write(to, &[rows.len(), columns], false, &values)
    }

    fn vector(&mut self, from: &str, rows: Range<usize>, to: &str) -> Result<(), ModelError> {
        let values = self.input.rows(from, rows)?;
        self.write(to, &[values.len()], true, &values)
    }

    fn write(&mut self, name: &str, dims: &[usize], as_f32: bool, values: &[f32]) -> Result<(), ModelError> {
        let result = ggml::write_tensor(&mut self.out, name, dims, as_f32, values);
        self.written(result)
    }

    fn written(&self, result: std::io::Result<()>) -> Result<(), ModelError> {
        result.map_err(|e| ModelError::io("write", self.path, e))
    }
}

/// A daemon that runs as another user must be able to read it; the umask still applies.
fn readable() -> Permissions {
    Permissions::from_mode(0o666)
}

#[cfg(test)]
pub(super) mod tests;
