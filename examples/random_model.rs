//! Writes a ggml model of one of Whisper's shapes with weights that mean nothing, for measuring speed: the same file each time.
//!
//! random_model large-v3-turbo ggml-random.bin

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use half::f16;
use transcription_worker::model::ggml::{Hparams, write_head, write_tensor, write_tensor_head};

/// ggml's number of half floats.
const F16: u32 = 1;

/// Numbers written at a time.
const CHUNK: usize = 1 << 16;

/// Text tokens of a multilingual vocabulary.
const TEXTS: usize = 50_257;

/// Name, width, layers of encoder and decoder, vocabulary, mel bands.
const SHAPES: [(&str, u32, u32, u32, u32, u32); 6] = [
    ("tiny", 384, 4, 4, 51_865, 80),
    ("base", 512, 6, 6, 51_865, 80),
    ("small", 768, 12, 12, 51_865, 80),
    ("medium", 1_024, 24, 24, 51_865, 80),
    ("large-v3", 1_280, 32, 32, 51_866, 128),
    ("large-v3-turbo", 1_280, 32, 4, 51_866, 128),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shape, path] = arguments.as_slice() else {
        eprintln!("usage: random_model SHAPE FILE; shapes: {}", SHAPES.map(|shape| shape.0).join(", "));
        return ExitCode::from(64);
    };
    match write(shape, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("random_model: {path}: {error}");
            ExitCode::from(69)
        }
    }
}

fn write(shape: &str, path: &str) -> Result<(), Box<dyn Error>> {
    let hparams = hparams(shape).ok_or_else(|| format!("there is no shape {shape}"))?;
    let mut model = Model { out: BufWriter::with_capacity(1 << 20, File::create(path)?), state: 1 };
    model.write(hparams)?;
    Ok(model.out.flush()?)
}

fn hparams(shape: &str) -> Option<Hparams> {
    let (_, width, audio_layers, text_layers, vocabulary, mels) = SHAPES.into_iter().find(|named| named.0 == shape)?;
    Some(Hparams {
        vocabulary,
        audio_context: 1_500,
        audio_state: width,
        audio_heads: width / 64,
        audio_layers,
        text_context: 448,
        text_state: width,
        text_heads: width / 64,
        text_layers,
        mels,
        ftype: 0,
    })
}

/// A file that is being written.
struct Model {
    out: BufWriter<File>,
    /// Of the generator.
    state: u64,
}

impl Model {
    fn write(&mut self, hparams: Hparams) -> io::Result<()> {
        let width = hparams.audio_state as usize;
        let texts: Vec<Vec<u8>> = (0..TEXTS).map(text).collect();
        write_head(&mut self.out, hparams, &texts)?;
        self.vector("encoder.positional_embedding", &[hparams.audio_context as usize, width], 0.0)?;
        self.matrix("encoder.conv1.weight", &[width, hparams.mels as usize, 3])?;
        self.vector("encoder.conv1.bias", &[width, 1], 0.0)?;
        self.matrix("encoder.conv2.weight", &[width, width, 3])?;
        self.vector("encoder.conv2.bias", &[width, 1], 0.0)?;
        self.norm("encoder.ln_post", width)?;
        self.vector("decoder.positional_embedding", &[hparams.text_context as usize, width], 0.0)?;
        self.matrix("decoder.token_embedding.weight", &[hparams.vocabulary as usize, width])?;
        self.norm("decoder.ln", width)?;
        for (half, layers) in [("encoder", hparams.audio_layers), ("decoder", hparams.text_layers)] {
            for block in (0..layers).map(|layer| format!("{half}.blocks.{layer}")) {
                self.attention(&format!("{block}.attn"), width)?;
                if half == "decoder" {
                    self.attention(&format!("{block}.cross_attn"), width)?;
                }
                self.norm(&format!("{block}.mlp_ln"), width)?;
                self.linear(&format!("{block}.mlp.0"), width, 4 * width)?;
                self.linear(&format!("{block}.mlp.2"), 4 * width, width)?;
            }
        }
        Ok(())
    }

    fn attention(&mut self, name: &str, width: usize) -> io::Result<()> {
        self.norm(&format!("{name}_ln"), width)?;
        for part in ["query", "value", "out"] {
            self.linear(&format!("{name}.{part}"), width, width)?;
        }
        // keys have no bias
        self.matrix(&format!("{name}.key.weight"), &[width, width])
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> io::Result<()> {
        self.matrix(&format!("{name}.weight"), &[outputs, inputs])?;
        self.vector(&format!("{name}.bias"), &[outputs], 0.0)
    }

    fn norm(&mut self, name: &str, width: usize) -> io::Result<()> {
        self.vector(&format!("{name}.weight"), &[width], 1.0)?;
        self.vector(&format!("{name}.bias"), &[width], 0.0)
    }

    /// Small numbers around `middle`, as f32.
    fn vector(&mut self, name: &str, dims: &[usize], middle: f32) -> io::Result<()> {
        let numbers = dims.iter().product();
        let values: Vec<f32> = (0..numbers).map(|_| middle + 0.01 * self.number()).collect();
        write_tensor(&mut self.out, name, dims, true, &values)
    }

    /// Numbers with which what goes in comes out as large, as f16.
    fn matrix(&mut self, name: &str, dims: &[usize]) -> io::Result<()> {
        write_tensor_head(&mut self.out, name, dims, F16)?;
        let inputs: usize = dims.iter().skip(1).product();
        let scale = (3.0 / inputs as f32).sqrt();
        let mut left: usize = dims.iter().product();
        let mut bytes = Vec::with_capacity(2 * CHUNK);
        while left > 0 {
            let count = left.min(CHUNK);
            bytes.clear();
            (0..count).for_each(|_| bytes.extend(f16::from_f32(scale * self.number()).to_le_bytes()));
            self.out.write_all(&bytes)?;
            left -= count;
        }
        Ok(())
    }

    /// From -1 to 1 (SplitMix64).
    fn number(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32 / (1 << 23) as f32) - 1.0
    }
}

/// Single bytes first, so that any text can be written in tokens.
fn text(token: usize) -> Vec<u8> {
    u8::try_from(token).map_or_else(|_| format!("_{token:x}").into_bytes(), |byte| vec![byte])
}
