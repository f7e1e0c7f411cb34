//! Tensors by name in one file, in the safetensors format (<https://github.com/huggingface/safetensors>): the length of a
//! JSON header as 64 bits, the header, the tensors' bytes. Only 32-bit floats.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ModelError;

/// Bytes; longer headers are of no file of ours.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Numbers in rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, the slowest first.
    pub shape: Vec<usize>,
    /// As many as the sizes multiply to.
    pub values: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Writes `tensors` and what there is to be said about them, the same bytes each time.
///
/// # Errors
/// `Io`.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, about: &[(&str, &str)]) -> Result<(), ModelError> {
    let write = || -> io::Result<()> {
        let about: BTreeMap<_, _> = about.iter().copied().collect();
        let mut header = BTreeMap::from([("__metadata__".to_owned(), serde_json::to_value(about)?)]);
        let mut end = 0;
        for (name, tensor) in tensors {
            let start = end;
            end += tensor.values.len() * 4;
            let entry = Entry { dtype: "F32".to_owned(), shape: tensor.shape.clone(), data_offsets: [start, end] };
            header.insert(name.clone(), serde_json::to_value(entry)?);
        }
        let mut header = serde_json::to_string(&header)?;
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let mut out = BufWriter::new(fs::File::create(path)?);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for value in tensors.values().flat_map(|tensor| &tensor.values) {
            out.write_all(&value.to_le_bytes())?;
        }
        out.flush()
    };
    write().map_err(|e| ModelError::io("write", path, e))
}

/// The tensors of a file, one after the other: the file is never in memory twice.
///
/// # Errors
/// `BadFile`, `Io`.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let mut file = BufReader::new(fs::File::open(path).map_err(|e| ModelError::io("open", path, e))?);
    parse(&mut file).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
            let what = "it is cut, or no safetensors file of 32-bit floats".to_owned();
            ModelError::BadFile { path: path.to_owned(), offset: 0, what }
        }
        _ => ModelError::io("read", path, error),
    })
}

fn parse(file: &mut impl Read) -> io::Result<BTreeMap<String, Tensor>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = Some(u64::from_le_bytes(length)).filter(|length| *length <= MAX_HEADER_BYTES);
    let mut header = vec![0; length.ok_or(ErrorKind::InvalidData)? as usize];
    file.read_exact(&mut header)?;
    let header: BTreeMap<String, Value> = serde_json::from_slice(&header)?;
    let mut entries = Vec::new();
    for (name, entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        entries.push((name, serde_json::from_value::<Entry>(entry)?));
    }
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let (mut tensors, mut at) = (BTreeMap::new(), 0);
    for (name, Entry { dtype, shape, data_offsets: [start, end] }) in entries {
        let bytes = shape.iter().try_fold(4_usize, |bytes, size| bytes.checked_mul(*size));
        if dtype != "F32" || start != at || end.checked_sub(start) != bytes {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut values = Vec::new();
        let mut block = [0; 1 << 14];
        while at < end {
            let size = (end - at).min(block.len());
            let read = block.get_mut(..size).unwrap_or_default();
            file.read_exact(read)?;
            values.extend(read.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)));
            at += size;
        }
        values.shrink_to_fit();
        tensors.insert(name, Tensor { shape, values });
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_cut_is_refused() {
        let tensor = |shape: &[usize], from: f32| Tensor {
            shape: shape.to_vec(),
            values: (0..shape.iter().product()).map(|i| from + i as f32).collect(),
        };
        let tensors = BTreeMap::from([("a".to_owned(), tensor(&[2, 3], 0.5)), ("b".to_owned(), tensor(&[1], -7.0))]);
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), &tensors, &[("about", "a test")]).unwrap();
        assert_eq!(read(file.path()).unwrap(), tensors);
        let whole = fs::read(file.path()).unwrap();
        for length in [0, 7, 8, 40, whole.len() - 1] {
            fs::write(file.path(), &whole[..length]).unwrap();
            assert!(read(file.path()).unwrap_err().to_string().contains("safetensors"), "{length} bytes");
        }
    }
}
