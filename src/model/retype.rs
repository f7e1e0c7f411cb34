//! Copies of a model whose matrices are stored otherwise, as the two halves of Whisper like them on a CPU: bf16 for the
//! encoder, which processors with AVX512_BF16 multiply 1.7 times as fast as f16, and eight bits a weight for the
//! decoder, whose speed is that of reading its weights once for each token.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::ggml::{self, Contents, Tensor};
use super::{Model, ModelError};

/// ggml's number of f16, as the type of a tensor and of a file.
const F16: u32 = 1;
/// After the magic and ten other dimensions.
const FTYPE_OFFSET: u64 = 44;
/// Weights that share a scale in [`Storage::Q8`].
const BLOCK: usize = 32;

/// How the copy's matrices are stored. All else in the file, convolutions included, stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// The upper half of an f32.
    Bf16,
    /// ggml's `q8_0`: blocks of 32 signed bytes and an f16 to multiply them with.
    Q8,
}

impl Storage {
    /// In the copy's name.
    fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Q8 => "q8_0",
        }
    }

    /// ggml's numbers for a tensor and for a file.
    fn numbers(self) -> (u32, u32) {
        match self {
            Self::Bf16 => (30, 24),
            Self::Q8 => (8, 7),
        }
    }

    /// Bytes of so many weights that take `f16_bytes` as f16.
    fn bytes(self, f16_bytes: u64) -> u64 {
        match self {
            Self::Bf16 => f16_bytes,
            Self::Q8 => f16_bytes / (2 * BLOCK as u64) * (BLOCK as u64 + 2),
        }
    }

    /// A block of weights, appended to `out`.
    fn put(self, block: &[f32; BLOCK], out: &mut Vec<u8>) {
        match self {
            Self::Bf16 => out.extend(block.iter().flat_map(|weight| bf16::from_f32(*weight).to_le_bytes())),
            Self::Q8 => {
                let greatest = block.iter().fold(0.0_f32, |greatest, weight| greatest.max(weight.abs()));
                let scale = greatest / 127.0;
                let steps = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                out.extend(f16::from_f32(scale).to_le_bytes());
                out.extend(block.iter().flat_map(|weight| ((weight * steps).round() as i8).to_le_bytes()));
            }
        }
    }
}

/// The copy in `cache_dir`, named after the model's sha256; made at the first time, reused later.
///
/// # Errors
/// The model is not of type f16, or the copy cannot be written.
pub fn copy(model: &Model, storage: Storage, cache_dir: &Path) -> Result<PathBuf, ModelError> {
    let path = cache_dir.join(format!("{}-{}.bin", model.sha256, storage.name()));
    let contents = ggml::inspect(&model.path)?;
    if contents.hparams.ftype != F16 {
        return Err(ModelError::BadFile {
            path: model.path.clone(),
            offset: FTYPE_OFFSET,
            what: "its matrices are not f16".to_owned(),
        });
    }
    if fs::metadata(&path).is_ok_and(|there| there.len() == size_of_copy(model, &contents, storage)) {
        return Ok(path);
    }
    // a name of its own: two workers may start at once
    let readable = fs::Permissions::from_mode(0o644);
    let part = tempfile::Builder::new().suffix(".part").permissions(readable).tempfile_in(cache_dir);
    let part = part.map_err(|e| ModelError::io("write to", cache_dir, e))?;
    write(&model.path, &contents, storage, part.as_file()).map_err(|e| ModelError::io("write", &path, e))?;
    part.persist(&path).map_err(|e| ModelError::io("write", &path, e.error))?;
    Ok(path)
}

/// Whether it is one of the matrices that are multiplied.
fn is_retyped(tensor: &Tensor) -> bool {
    let whole_blocks = tensor.dims.first().is_some_and(|width| (*width as usize).is_multiple_of(BLOCK));
    tensor.kind == F16 && tensor.dims.len() == 2 && whole_blocks
}

fn size_of_copy(model: &Model, contents: &Contents, storage: Storage) -> u64 {
    let retyped = contents.tensors.values().filter(|tensor| is_retyped(tensor));
    let (before, after) =
        retyped.fold((0, 0), |(before, after), tensor| (before + tensor.bytes, after + storage.bytes(tensor.bytes)));
    model.size_bytes - before + after
}

fn write(source: &Path, contents: &Contents, storage: Storage, target: &File) -> io::Result<()> {
    let (kind, ftype) = storage.numbers();
    let mut source = BufReader::with_capacity(1 << 20, File::open(source)?);
    let mut out = BufWriter::with_capacity(1 << 20, target);
    let mut tensors: Vec<(&String, &Tensor)> = contents.tensors.iter().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.offset);
    io::copy(&mut source.by_ref().take(FTYPE_OFFSET), &mut out)?;
    out.write_all(&ftype.to_le_bytes())?;
    let mut at = source.seek(SeekFrom::Start(FTYPE_OFFSET + 4))?;
    for (name, tensor) in tensors {
        if !is_retyped(tensor) {
            continue;
        }
        // the kind stands before the dimensions and the name, which precede the data
        let kind_offset = tensor.offset - name.len() as u64 - 4 * tensor.dims.len() as u64 - 4;
        io::copy(&mut source.by_ref().take(kind_offset - at), &mut out)?;
        out.write_all(&kind.to_le_bytes())?;
        source.seek_relative(4)?;
        io::copy(&mut source.by_ref().take(tensor.offset - kind_offset - 4), &mut out)?;
        retype(&mut source, tensor.bytes, storage, &mut out)?;
        at = tensor.offset + tensor.bytes;
    }
    io::copy(&mut source, &mut out)?;
    out.flush()?;
    drop(out);
    target.sync_all()
}

fn retype(source: &mut impl Read, f16_bytes: u64, storage: Storage, out: &mut impl Write) -> io::Result<()> {
    let (mut bytes, mut block, mut retyped) = ([0; 2 * BLOCK], [0.0; BLOCK], Vec::new());
    for _ in 0..f16_bytes / bytes.len() as u64 {
        source.read_exact(&mut bytes)?;
        for (weight, pair) in block.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *weight = f16::from_le_bytes(*pair).to_f32();
        }
        retyped.clear();
        storage.put(&block, &mut retyped);
        out.write_all(&retyped)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(storage: Storage, block: [f32; BLOCK]) -> Vec<u8> {
        let mut out = Vec::new();
        storage.put(&block, &mut out);
        out
    }

    #[test]
    fn eight_bits_keep_each_weight_to_half_a_step() {
        let block: [f32; BLOCK] = std::array::from_fn(|i| (i as f32 * 0.37).sin() * 0.2);
        let bytes = put(Storage::Q8, block);
        assert_eq!(bytes.len() as u64, Storage::Q8.bytes(2 * BLOCK as u64));
        let scale = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        for (weight, byte) in block.iter().zip(&bytes[2..]) {
            let kept = f32::from(*byte as i8) * scale;
            assert!((weight - kept).abs() <= scale * 0.6, "{weight} became {kept}");
        }
    }

    #[test]
    fn a_block_of_zeros_stays_zero() {
        assert_eq!(put(Storage::Q8, [0.0; BLOCK]), [0; BLOCK + 2]);
        assert_eq!(put(Storage::Bf16, [0.0; BLOCK]), [0; 2 * BLOCK]);
    }
}
