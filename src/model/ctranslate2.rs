//! Reads the `model.bin` of a faster-whisper model: CTranslate2's binary format, version 6, as written by
//! `ct2-transformers-converter` for Whisper (`WhisperSpec`, revision 3).
//!
//! Opening reads only the index; weights are read one variable at a time, so that a 3 GB model needs no 3 GB.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use half::{bf16, f16};

use super::ModelError;
use super::reader::Reader;

const BINARY_VERSION: u32 = 6;
const SPEC: &str = "WhisperSpec";
const SPEC_REVISION: u32 = 3;

/// How a variable's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    I8,
    I16,
    I32,
    F16,
    Bf16,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::F32, Self::I8, Self::I16, Self::I32, Self::F16, Self::Bf16].get(usize::from(byte)).copied()
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

#[derive(Debug)]
struct Variable {
    dims: Vec<usize>,
    kind: Kind,
    offset: u64,
}

/// The index of a `model.bin`, and the open file behind it.
#[derive(Debug)]
pub struct Weights {
    input: Reader,
    variables: BTreeMap<String, Variable>,
}

impl Weights {
    /// Reads the index. Every length in it is checked against the file before anything is allocated.
    ///
    /// # Errors
    /// `Io`; `BadFile` with the offset for anything but a whole Whisper model of this version.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let mut input = Reader::open(path)?;
        let version = input.u32()?;
        if version != BINARY_VERSION {
            let what = format!("not a CTranslate2 model of binary version {BINARY_VERSION} (the file says {version})");
            return Err(input.bad(0, what));
        }
        let spec = name(&mut input)?;
        let revision = input.u32()?;
        if spec != SPEC || revision != SPEC_REVISION {
            let what = format!("holds a {spec} of revision {revision}, not a {SPEC} of revision {SPEC_REVISION}");
            return Err(input.bad(4, what));
        }
        let mut variables = BTreeMap::new();
        for _ in 0..input.u32()? {
            let name = name(&mut input)?;
            let variable = variable(&mut input, &name)?;
            variables.insert(name, variable);
        }
        // the aliases that follow only say that the projection shares the embedding's weights, as in every Whisper
        Ok(Self { input, variables })
    }

    /// The shape of `name`, outermost dimension first.
    ///
    /// # Errors
    /// `BadFile` where there is no such variable or it has another rank.
    pub fn shape<const RANK: usize>(&self, name: &str) -> Result<[usize; RANK], ModelError> {
        let dims = &self.variable_of(name)?.dims;
        <[usize; RANK]>::try_from(dims.as_slice())
            .map_err(|_| self.input.bad(0, format!("{name} has shape {dims:?} where {RANK} dimensions were expected")))
    }

    /// How many of `{stack}/layer_0`, `layer_1` … there are.
    pub fn layers(&self, stack: &str) -> usize {
        (0..).take_while(|n| self.variables.contains_key(&format!("{stack}/layer_{n}/ffn/linear_0/weight"))).count()
    }

    /// The given rows (of the outermost dimension) of `name`, as f32 whatever they are stored as; quantised weights
    /// are divided by their `{name}_scale`, per row or over all.
    ///
    /// # Errors
    /// `BadFile` for a missing variable or scale, or rows outside it; `Io`.
    pub fn rows(&mut self, name: &str, rows: Range<usize>) -> Result<Vec<f32>, ModelError> {
        let variable = self.variable_of(name)?;
        let (kind, offset) = (variable.kind, variable.offset);
        let row_len: usize = variable.dims.iter().skip(1).product();
        let count = variable.dims.first().copied().unwrap_or(1);
        if rows.start > rows.end || rows.end > count {
            return Err(self.input.bad(offset, format!("{name} has {count} rows where {} were expected", rows.end)));
        }
        let row_bytes = row_len * kind.bytes();
        let bytes = self.input.bytes_at(offset + (rows.start * row_bytes) as u64, rows.len() * row_bytes)?;
        let mut values = decode(kind, &bytes);
        if matches!(kind, Kind::I8 | Kind::I16) {
            let scale_name = format!("{name}_scale");
            let scales = self.all(&scale_name)?;
            if scales.len() != 1 && scales.len() != count {
                return Err(self
                    .input
                    .bad(offset, format!("{scale_name} has {} values for {count} rows", scales.len())));
            }
            for (row, chunk) in rows.zip(values.chunks_mut(row_len.max(1))) {
                let scale = scales.get(row).or(scales.first()).copied().unwrap_or(1.0);
                chunk.iter_mut().for_each(|value| *value /= scale);
            }
        }
        Ok(values)
    }

    fn all(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let variable = self.variable_of(name)?;
        if matches!(variable.kind, Kind::I8 | Kind::I16) {
            return Err(self.input.bad(variable.offset, format!("{name} is quantised itself")));
        }
        let (kind, offset, count) = (variable.kind, variable.offset, variable.dims.iter().product::<usize>());
        Ok(decode(kind, &self.input.bytes_at(offset, count * kind.bytes())?))
    }

    fn variable_of(&self, name: &str) -> Result<&Variable, ModelError> {
        self.variables
            .get(name)
            .ok_or_else(|| self.input.bad(0, format!("has no variable {name}: not a whole Whisper model")))
    }
}

fn variable(input: &mut Reader, name: &str) -> Result<Variable, ModelError> {
    let start = input.offset();
    let rank = input.u8()?;
    let dims = (0..rank).map(|_| input.u32().map(|d| d as usize)).collect::<Result<Vec<_>, _>>()?;
    let code = input.u8()?;
    let kind =
        Kind::from_byte(code).ok_or_else(|| input.bad(start, format!("{name} has the unknown number type {code}")))?;
    let bytes = u64::from(input.u32()?);
    let shaped = dims.iter().try_fold(kind.bytes(), |product, dim| product.checked_mul(*dim));
    // without the test for 0 the other dimensions would be unbounded
    if shaped.map(|s| s as u64) != Some(bytes) || bytes == 0 {
        return Err(input.bad(start, format!("{name} has shape {dims:?} but {bytes} bytes")));
    }
    let offset = input.offset();
    input.skip(bytes)?;
    Ok(Variable { dims, kind, offset })
}

fn name(input: &mut Reader) -> Result<String, ModelError> {
    let offset = input.offset();
    let len = input.u16()?;
    let bytes = input.bytes(usize::from(len))?;
    let text = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    String::from_utf8(text.to_vec()).map_err(|_| input.bad(offset, "a name is not UTF-8"))
}

fn decode(kind: Kind, bytes: &[u8]) -> Vec<f32> {
    match kind {
        Kind::F32 => items(bytes).map(f32::from_le_bytes).collect(),
        Kind::I8 => items(bytes).map(|b| f32::from(i8::from_le_bytes(b))).collect(),
        Kind::I16 => items(bytes).map(|b| f32::from(i16::from_le_bytes(b))).collect(),
        Kind::I32 => items(bytes).map(|b| i32::from_le_bytes(b) as f32).collect(),
        Kind::F16 => items(bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Kind::Bf16 => items(bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
    }
}

fn items<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
