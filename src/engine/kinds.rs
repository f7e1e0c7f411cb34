//! How a model's matrices are stored.

use super::native::devices;
use super::native::tensor::Kind;
use super::native::tiles;

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
    /// The kinds of this name: `auto` (the usual ones, before [`super::trial`]), one for all matrices, or the encoder's and the decoder's with a comma between.
    ///
    /// # Errors
    /// A sentence: there is no such kind.
    pub fn named(name: &str, on_gpu: bool) -> Result<Self, String> {
        let attention = if devices::multiplies_bf16() { Kind::BF16 } else { Kind::F16 };
        let fast = if tiles::are_there() { Kind::BF16 } else { attention };
        let auto = match on_gpu {
            true => Self { encoder: Kind::F16, decoder: Kind::F16, attention: Kind::F16 },
            false => Self { encoder: fast, decoder: Kind::Q8_0, attention },
        };
        if name == "auto" {
            return Ok(auto);
        }
        let kind = |name: &str| {
            let mut kinds = [Kind::F32, Kind::F16, Kind::BF16, Kind::Q8_0].into_iter();
            let kind = kinds.find(|kind| kind.name() == name);
            kind.ok_or_else(|| format!("--weights {name}: not one of f32, f16, bf16 and q8_0"))
        };
        let mut names = name.split(',').map(kind);
        let encoder = names.next().unwrap_or_else(|| kind(name))?;
        let decoder = names.next().unwrap_or(Ok(encoder))?;
        let attention = names.next().unwrap_or(Ok(if encoder == Kind::BF16 { attention } else { Kind::F16 }))?;
        Ok(Self { encoder, decoder, attention })
    }
}
