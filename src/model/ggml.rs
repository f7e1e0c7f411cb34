//! The model files that whisper.cpp reads: checked before it sees them (it aborts the process on some broken ones)
//! and written from converted weights.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use half::f16;

use super::ModelError;
use super::mel;
use super::reader::Reader;

const MAGIC: u32 = 0x6767_6d6c;
/// Quantised files count their format's revision in the thousands of `ftype`.
const QUANTISATION_VERSION_FACTOR: u32 = 1_000;
/// `ftype` of a file whose matrices are half floats.
const FTYPE_F16: u32 = 1;
/// The longest token of the real vocabularies has 128 bytes.
const MAX_TOKEN_BYTES: u32 = 1_024;
const MAX_NAME_BYTES: u32 = 128;
/// The vocabulary of the first multilingual models; English ones lack a token, and each language more takes one.
const MULTILINGUAL_VOCABULARY: u32 = 51_865;
const LANGUAGES_AT_FIRST: u32 = 99;

/// The dimensions of a model, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hparams {
    /// Tokens, special ones included.
    pub vocabulary: u32,
    /// Audio positions: 1500 for 30 s.
    pub audio_context: u32,
    /// Width of the encoder.
    pub audio_state: u32,
    /// Attention heads of an encoder layer.
    pub audio_heads: u32,
    /// Encoder layers.
    pub audio_layers: u32,
    /// Text positions.
    pub text_context: u32,
    /// Width of the decoder, equal to the encoder's.
    pub text_state: u32,
    /// Attention heads of a decoder layer.
    pub text_heads: u32,
    /// Decoder layers.
    pub text_layers: u32,
    /// Mel bands: 80, or 128 from large-v3 on.
    pub mels: u32,
    /// How the matrices are stored, as ggml numbers it.
    pub ftype: u32,
}

/// Where a tensor lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Innermost first.
    pub dims: Vec<u32>,
    /// ggml's number of the storage type.
    pub kind: u32,
    /// Of the data, from the beginning of the file.
    pub offset: u64,
    /// Length of the data.
    pub bytes: u64,
}

/// What a model file holds.
#[derive(Debug)]
pub struct Contents {
    /// Its dimensions.
    pub hparams: Hparams,
    /// Its text tokens.
    pub tokens: u32,
    /// Its weights by OpenAI's names.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Hparams {
    /// How many of Whisper's languages there are tokens for.
    pub fn languages(&self) -> usize {
        match self.vocabulary.checked_sub(MULTILINGUAL_VOCABULARY) {
            None => 1,
            Some(more) => (LANGUAGES_AT_FIRST + more) as usize,
        }
    }

    /// Whether the model was taught to translate: neither English ones were, nor those whose decoder was cut down and taught
    /// anew (turbo, distilled ones): OpenAI's others have as many layers on either side.
    pub fn translates(&self) -> bool {
        self.languages() > 1 && self.text_layers >= self.audio_layers
    }

    fn from_array(
        [
            vocabulary,
            audio_context,
            audio_state,
            audio_heads,
            audio_layers,
            text_context,
            text_state,
            text_heads,
            text_layers,
            mels,
            ftype,
        ]: [u32; 11],
    ) -> Self {
        Self {
            vocabulary,
            audio_context,
            audio_state,
            audio_heads,
            audio_layers,
            text_context,
            text_state,
            text_heads,
            text_layers,
            mels,
            ftype,
        }
    }

    fn to_array(self) -> [u32; 11] {
        [
            self.vocabulary,
            self.audio_context,
            self.audio_state,
            self.audio_heads,
            self.audio_layers,
            self.text_context,
            self.text_state,
            self.text_heads,
            self.text_layers,
            self.mels,
            self.ftype,
        ]
    }

    /// The name and value of the first dimension that no Whisper has.
    fn implausible(&self) -> Option<(&'static str, u32)> {
        let ftype = self.ftype % QUANTISATION_VERSION_FACTOR;
        [
            // token numbers are derived from it: with others whisper.cpp reads the wrong ones
            ("vocabulary", self.vocabulary, (51_864..=51_866).contains(&self.vocabulary)),
            ("audio context", self.audio_context, (1..=1_500).contains(&self.audio_context)),
            ("audio width", self.audio_state, (64..=1_280).contains(&self.audio_state)),
            ("audio heads", self.audio_heads, self.audio_heads.checked_mul(64) == Some(self.audio_state)),
            ("audio layers", self.audio_layers, (1..=32).contains(&self.audio_layers)),
            ("text context", self.text_context, (1..=448).contains(&self.text_context)),
            ("text width", self.text_state, self.text_state == self.audio_state),
            ("text heads", self.text_heads, self.text_heads == self.audio_heads),
            ("text layers", self.text_layers, (1..=32).contains(&self.text_layers)),
            ("mel bands", self.mels, [80, 128].contains(&self.mels)),
            ("storage type", self.ftype, matches!(ftype, 0..=3 | 7..=14 | 24)),
        ]
        .into_iter()
        .find_map(|(name, value, plausible)| (!plausible).then_some((name, value)))
    }

    /// How many weights whisper.cpp will ask for.
    fn tensors(&self) -> usize {
        11 + 15 * self.audio_layers as usize + 24 * self.text_layers as usize
    }
}

/// Walks a model file from end to end without reading its weights (milliseconds): dimensions, vocabulary and every
/// tensor's header.
///
/// # Errors
/// `Io`; `BadFile` with the offset where it is not a whole Whisper model.
pub fn inspect(path: &Path) -> Result<Contents, ModelError> {
    let mut input = Reader::open(path)?;
    if input.u32()? != MAGIC {
        return Err(input.bad(0, "not a ggml model"));
    }
    let mut numbers = [0; 11];
    for number in &mut numbers {
        *number = input.u32()?;
    }
    let hparams = Hparams::from_array(numbers);
    if let Some((name, value)) = hparams.implausible() {
        return Err(input.bad(4, format!("no Whisper model: {value} is not possible for {name}")));
    }
    let (rows, columns) = (input.u32()?, input.u32()?);
    if rows != hparams.mels || columns as usize != mel::BINS {
        return Err(
            input.bad(48, format!("the mel filters are {rows} x {columns}, not {} x {}", hparams.mels, mel::BINS))
        );
    }
    input.skip(u64::from(rows) * u64::from(columns) * 4)?;
    let tokens = vocabulary(&mut input, &hparams)?;
    let mut tensors = BTreeMap::new();
    while input.offset() < input.len() {
        let (name, tensor) = tensor(&mut input)?;
        tensors.insert(name, tensor);
    }
    if tensors.len() != hparams.tensors() {
        let what = format!("{} of {} tensors are there", tensors.len(), hparams.tensors());
        return Err(input.bad(input.len(), what));
    }
    Ok(Contents { hparams, tokens, tensors })
}

/// The bytes of a model file's text tokens, in their order.
///
/// # Errors
/// As [`inspect`].
pub fn token_texts(path: &Path) -> Result<Vec<Vec<u8>>, ModelError> {
    let mut input = Reader::open(path)?;
    // the magic and the dimensions, then the mel filters
    input.skip(4 + 11 * 4)?;
    let (rows, columns) = (input.u32()?, input.u32()?);
    input.skip(u64::from(rows) * u64::from(columns) * 4)?;
    let tokens = input.u32()?;
    (0..tokens)
        .map(|_| {
            let len = input.u32()?;
            input.bytes(len as usize)
        })
        .collect()
}

fn vocabulary(input: &mut Reader, hparams: &Hparams) -> Result<u32, ModelError> {
    let offset = input.offset();
    let tokens = input.u32()?;
    if tokens == 0 || tokens > hparams.vocabulary {
        return Err(input.bad(offset, format!("{tokens} tokens in a vocabulary of {}", hparams.vocabulary)));
    }
    for token in 0..tokens {
        let offset = input.offset();
        let len = input.u32()?;
        if len > MAX_TOKEN_BYTES {
            return Err(input.bad(offset, format!("token {token} would be {len} bytes long")));
        }
        input.skip(u64::from(len))?;
    }
    Ok(tokens)
}

fn tensor(input: &mut Reader) -> Result<(String, Tensor), ModelError> {
    let start = input.offset();
    let (rank, name_len, kind) = (input.u32()?, input.u32()?, input.u32()?);
    if !(1..=4).contains(&rank) || name_len > MAX_NAME_BYTES {
        return Err(input.bad(start, format!("no tensor: rank {rank}, a name of {name_len} bytes")));
    }
    let dims = (0..rank).map(|_| input.u32()).collect::<Result<Vec<_>, _>>()?;
    let name = String::from_utf8_lossy(&input.bytes(name_len as usize)?).into_owned();
    let (block_len, block_bytes) =
        block(kind).ok_or_else(|| input.bad(start, format!("{name} has the unknown type {kind}")))?;
    let values = dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(u64::from(*dim)));
    let bytes = values.and_then(|values| (values / block_len).checked_mul(block_bytes));
    let bytes = bytes.ok_or_else(|| input.bad(start, format!("{name} cannot have the shape {dims:?}")))?;
    let offset = input.offset();
    input.skip(bytes)?;
    Ok((name, Tensor { dims, kind, offset, bytes }))
}

/// Numbers per block and bytes per block of ggml's storage types, those that whisper.cpp's files use.
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (1, 4),      // f32
        1 => (1, 2),      // f16
        2 => (32, 18),    // q4_0
        3 => (32, 20),    // q4_1
        6 => (32, 22),    // q5_0
        7 => (32, 24),    // q5_1
        8 => (32, 34),    // q8_0
        10 => (256, 84),  // q2_K
        11 => (256, 110), // q3_K
        12 => (256, 144), // q4_K
        13 => (256, 176), // q5_K
        14 => (256, 210), // q6_K
        30 => (1, 2),     // bf16
        _ => return None,
    })
}

/// Writes all that precedes the weights of an f16 model; the `ftype` in `hparams` is set accordingly.
///
/// # Errors
/// What `out` answers.
pub fn write_head(out: &mut impl Write, hparams: Hparams, tokens: &[Vec<u8>]) -> io::Result<()> {
    let hparams = Hparams { ftype: FTYPE_F16, ..hparams };
    put(out, MAGIC)?;
    hparams.to_array().into_iter().try_for_each(|number| put(out, number))?;
    put(out, hparams.mels)?;
    put(out, mel::BINS as u32)?;
    write_f32(out, &mel::filters(hparams.mels as usize))?;
    put(out, tokens.len() as u32)?;
    for token in tokens {
        put(out, token.len() as u32)?;
        out.write_all(token)?;
    }
    Ok(())
}

/// Writes what precedes a tensor's numbers. `dims` is outermost first, `kind` the storage type as ggml numbers it.
///
/// # Errors
/// What `out` answers.
pub fn write_tensor_head(out: &mut impl Write, name: &str, dims: &[usize], kind: u32) -> io::Result<()> {
    put(out, dims.len() as u32)?;
    put(out, name.len() as u32)?;
    put(out, kind)?;
    dims.iter().rev().try_for_each(|dim| put(out, *dim as u32))?;
    out.write_all(name.as_bytes())
}

/// Writes one tensor. `dims` is outermost first. Matrices are stored as f16, all else (`as_f32`) as f32.
///
/// # Errors
/// What `out` answers.
pub fn write_tensor(out: &mut impl Write, name: &str, dims: &[usize], as_f32: bool, values: &[f32]) -> io::Result<()> {
    write_tensor_head(out, name, dims, u32::from(!as_f32))?;
    if as_f32 {
        return write_f32(out, values);
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
    out.write_all(&bytes)
}

fn write_f32(out: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    out.write_all(&bytes)
}

fn put(out: &mut impl Write, number: u32) -> io::Result<()> {
    out.write_all(&number.to_le_bytes())
}
