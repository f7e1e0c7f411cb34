//! Writes a ggml model anew with its matrices stored as another type: smaller to carry to a machine without a network, and
//! there as half floats again. What eight bits or fewer lost stays lost.
//!
//! repack_model ggml-tiny.en.bin q5_0 tiny.en.packed
//! repack_model tiny.en.packed f16 ggml-tiny.en.bin

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

use transcription_worker::engine::native::tensor::Kind;
use transcription_worker::model::ggml::{self, Tensor, write_head, write_tensor_head};

/// Storage types as ggml numbers them.
const KINDS: [(&str, u32); 4] = [("f16", 1), ("q4_0", 2), ("q5_0", 6), ("q8_0", 8)];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, kind, to] = arguments.as_slice() else {
        eprintln!("usage: repack_model FILE TYPE FILE; types: {}", KINDS.map(|kind| kind.0).join(", "));
        return ExitCode::from(64);
    };
    match repack(Path::new(from), kind, Path::new(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("repack_model: {error}");
            ExitCode::from(69)
        }
    }
}

fn repack(from: &Path, kind: &str, to: &Path) -> Result<(), Box<dyn Error>> {
    let (_, kind) = KINDS.into_iter().find(|named| named.0 == kind).ok_or_else(|| format!("no type {kind}"))?;
    let contents = ggml::inspect(from)?;
    let source = File::open(from)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(to)?);
    write_head(&mut out, contents.hparams, &ggml::token_texts(from)?)?;
    let mut tensors: Vec<(&String, &Tensor)> = contents.tensors.iter().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.offset);
    let mut numbers = Vec::new();
    for (name, tensor) in tensors {
        let mut bytes = vec![0; usize::try_from(tensor.bytes)?];
        source.read_exact_at(&mut bytes, tensor.offset)?;
        let stored = stored_as(tensor, kind);
        if stored != tensor.kind {
            Kind::of_file(tensor.kind).to_f32(&bytes, &mut numbers)?;
            bytes = Kind::of_file(stored).from_f32(&numbers, width(tensor));
        }
        let dims: Vec<usize> = tensor.dims.iter().rev().map(|dim| *dim as usize).collect();
        write_tensor_head(&mut out, name, &dims, stored)?;
        out.write_all(&bytes)?;
    }
    Ok(out.flush()?)
}

fn width(tensor: &Tensor) -> usize {
    tensor.dims.first().map_or(1, |width| *width as usize)
}

/// Matrices whose rows are whole blocks change; what is added or stays in single precision does not.
fn stored_as(tensor: &Tensor, wished: u32) -> u32 {
    /// ggml's number of single precision.
    const F32: u32 = 0;
    let fits = tensor.dims.len() == 2 && width(tensor).is_multiple_of(Kind::of_file(wished).block());
    if tensor.kind == F32 || !fits { tensor.kind } else { wished }
}
