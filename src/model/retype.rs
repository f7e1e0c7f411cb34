//! Copies of a model whose matrices are stored otherwise, as the two halves of Whisper like them on a CPU: bf16 for the
//! encoder, which processors with AVX512_BF16 multiply 1.7 times as fast as f16, and eight bits a weight for the
//! decoder, whose speed is that of reading its weights once for each token.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::ggml::{self, Contents, Tensor};
use super::{Model, ModelError, checksum, folder_of};

/// ggml's number of f16, as the type of a tensor and of a file.
const F16: u32 = 1;
/// After the magic and ten other dimensions.
const FTYPE_OFFSET: u64 = 44;
/// In a copy's name: raised when copies are written otherwise, so that no version of this program takes another's.
const FORMAT: u32 = 2;
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

/// The copy, named after the model's sha256, in the first of `places` that has it, else made in the first that can be
/// written.
///
/// # Errors
/// The model is not of type f16, or the copy cannot be written anywhere; of the places, what the first one answered.
pub fn copy(model: &Model, storage: Storage, places: &[PathBuf]) -> Result<PathBuf, ModelError> {
    let name = format!("{}-{}.{FORMAT}.bin", model.sha256, storage.name());
    let contents = ggml::inspect(&model.path)?;
    if contents.hparams.ftype != F16 {
        return Err(ModelError::BadFile {
            path: model.path.clone(),
            offset: FTYPE_OFFSET,
            what: "its matrices are not f16".to_owned(),
        });
    }
    let bytes = size_of_copy(model, &contents, storage);
    let there = places.iter().map(|place| place.join(&name)).find(|path| is_whole(path, bytes));
    if let Some(path) = there {
        return Ok(path);
    }
    let mut refused = None;
    for place in places {
        match make(model, &contents, storage, &place.join(&name)) {
            Ok(path) => return Ok(path),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    Err(refused.unwrap_or_else(|| ModelError::Invalid("there is no place for a copy of the model".to_owned())))
}

/// Whether it is what was written there: of that length, untouched since its checksum was noted, and a model.
fn is_whole(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|there| there.len() == bytes)
        && checksum::noted(path).is_some()
        && ggml::inspect(path).is_ok()
}

fn make(model: &Model, contents: &Contents, storage: Storage, path: &Path) -> Result<PathBuf, ModelError> {
    let place = folder_of(path);
    fs::create_dir_all(place).map_err(|e| ModelError::io("create", place, e))?;
    // a name of its own: two workers may start at once
    let readable = fs::Permissions::from_mode(0o644);
    let part = tempfile::Builder::new().suffix(".part").permissions(readable).tempfile_in(place);
    let part = part.map_err(|e| ModelError::io("write to", place, e))?;
    write(&model.path, contents, storage, part.as_file()).map_err(|e| ModelError::io("write", path, e))?;
    let sha256 = checksum::compute(part.path())?;
    part.persist(path).map_err(|e| ModelError::io("write", path, e.error))?;
    checksum::remember(path, &sha256);
    Ok(path.to_owned())
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
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::convert::tests::small_model;
    use super::*;

    fn model(dir: &tempfile::TempDir) -> Model {
        let path = small_model(dir);
        let (sha256, size_bytes) = (checksum::compute(&path).unwrap(), fs::metadata(&path).unwrap().len());
        Model { name: "mine".to_owned(), path, sha256, languages: 1, translates: false, size_bytes }
    }

    #[test]
    fn a_copy_lies_where_it_can_be_written_and_is_found_there_again() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let model = model(&dir);
        // nobody can make a folder in a file
        let beside = model.path.join("copies");
        let places = [beside, cache.path().join("models")];
        for storage in [Storage::Q8, Storage::Bf16] {
            let made = copy(&model, storage, &places).unwrap();
            assert!(made.starts_with(cache.path()), "{}", made.display());
            let written = fs::metadata(&made).unwrap().modified().unwrap();
            assert_eq!(copy(&model, storage, &[dir.path().to_owned(), places[1].clone()]).unwrap(), made);
            assert_eq!(fs::metadata(&made).unwrap().modified().unwrap(), written, "it was made once");
        }
        let fault = copy(&model, Storage::Q8, &places[..1]).unwrap_err();
        assert!(fault.to_string().contains("copies"), "{fault}");
    }

    #[test]
    fn a_copy_that_is_not_as_it_was_written_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (model, places) = (model(&dir), [dir.path().to_owned()]);
        let path = copy(&model, Storage::Q8, &places).unwrap();
        let sound = fs::read(&path).unwrap();
        let mut torn = sound.clone();
        let length = torn.len();
        torn[length / 2..length / 2 + 4096].fill(0);
        for damaged in [torn, sound[..length - 1].to_vec()] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(copy(&model, Storage::Q8, &places).unwrap(), path);
            assert!(fs::read(&path).unwrap() == sound);
        }
    }

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
