//! Tensors of a file that `torch.save` wrote: a zip archive of a pickle and the tensors' bytes, none of it compressed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::ModelError;
use super::pickle::{Id, Pickle, Value};
use super::safetensors::Tensor;

const END_OF_DIRECTORY: &[u8] = b"PK\x05\x06";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL_HEADER: &[u8] = b"PK\x03\x04";

/// The tensors of the state dictionary in `path` (itself a dictionary of tensors, or one with a `state_dict` inside), by
/// name. Tensors of whole numbers, which count batches of the training, are left out.
///
/// # Errors
/// `BadFile`, `Io`.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let bytes = fs::read(path).map_err(|e| ModelError::io("read", path, e))?;
    tensors(&bytes).map_err(|what| ModelError::BadFile { path: path.to_owned(), offset: 0, what })
}

fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let files = files(bytes)?;
    let pickle = files.iter().find(|(name, _)| name.ends_with("/data.pkl")).ok_or("it has no data.pkl")?;
    let folder = pickle.0.trim_end_matches("data.pkl");
    let pickle = Pickle::read(pickle.1)?;
    let root = pickle.root();
    let state = pickle.entries(root).find(|(key, _)| *key == "state_dict").map_or(root, |(_, state)| state);
    let mut tensors = BTreeMap::new();
    for (name, id) in pickle.entries(state) {
        if let Some(tensor) = tensor(&pickle, id, folder, &files).ok_or_else(|| format!("{name} is no tensor"))? {
            tensors.insert(name.to_owned(), tensor);
        }
    }
    Ok(tensors)
}

/// `None` where it is no tensor that can be read, `Some(None)` where it is one of whole numbers.
fn tensor(pickle: &Pickle, id: Id, folder: &str, files: &BTreeMap<&str, &[u8]>) -> Option<Option<Tensor>> {
    let [storage, offset, shape, strides, ..] = *pickle.call(id, "torch._utils _rebuild_tensor_v2")? else {
        return None;
    };
    let Value::Outside(storage) = pickle.get(storage) else { return None };
    let [_, kind, key, ..] = *pickle.list(*storage)? else { return None };
    match pickle.get(kind) {
        Value::Name(kind) if kind == "torch FloatStorage" => {}
        Value::Name(kind) if kind == "torch LongStorage" => return Some(None),
        _ => return None,
    }
    let sizes = |id| pickle.list(id)?.iter().map(|size| pickle.size(*size)).collect::<Option<Vec<usize>>>();
    let (shape, strides, offset) = (sizes(shape)?, sizes(strides)?, pickle.size(offset)?);
    let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
    let mut dense = count;
    for (size, stride) in shape.iter().zip(&strides) {
        dense /= (*size).max(1);
        if *stride != dense && *size > 1 {
            return None;
        }
    }
    let bytes = files.get(format!("{folder}data/{}", pickle.text(key)?).as_str())?;
    let from = offset.checked_mul(4)?;
    let bytes = bytes.get(from..from.checked_add(count.checked_mul(4)?)?)?;
    let values = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    Some(Some(Tensor { shape, values }))
}

/// The files in a zip archive, by name.
fn files(bytes: &[u8]) -> Result<BTreeMap<&str, &[u8]>, String> {
    let word = |at: usize| {
        bytes.get(at..at + 4).map(|four| four.iter().rev().fold(0_usize, |sum, b| sum << 8 | usize::from(*b)))
    };
    let half = |at: usize| word(at).map(|word| word & 0xffff);
    let end = bytes.windows(4).rposition(|four| four == END_OF_DIRECTORY).ok_or("it is no zip archive")?;
    let read = || {
        let (count, mut at) = (half(end + 10)?, word(end + 16)?);
        let mut files = BTreeMap::new();
        for _ in 0..count {
            let (method, size, name_length) = (half(at + 10)?, word(at + 24)?, half(at + 28)?);
            let (extra, comment, local) = (half(at + 30)?, half(at + 32)?, word(at + 42)?);
            let is_entry = bytes.get(at..at + 4)? == DIRECTORY_ENTRY && bytes.get(local..local + 4)? == LOCAL_HEADER;
            if !is_entry || method != 0 {
                return None;
            }
            let name = std::str::from_utf8(bytes.get(at + 46..at + 46 + name_length)?).ok()?;
            let data = local + 30 + half(local + 26)? + half(local + 28)?;
            files.insert(name, bytes.get(data..data + size)?);
            at += 46 + name_length + extra + comment;
        }
        Some(files)
    };
    read().ok_or_else(|| "its archive is damaged or compressed".to_owned())
}
