//! How a track is coded, as containers say it and decoders want to be told.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, well_known as known};

/// What a decoder must know of a track.
#[derive(Debug, Clone)]
pub struct Format {
    /// For the decoder. Codec, rate, channels; the header that the container keeps.
    pub params: AudioCodecParameters,
    /// Frames at the start that the encoder put there, and that nothing but this says.
    pub delay: u32,
}

impl Format {
    /// A codec with what containers usually state.
    pub fn new(codec: AudioCodecId, rate_hz: u32, channels: u16) -> Self {
        let mut params = AudioCodecParameters::new();
        params.for_codec(codec).with_sample_rate(rate_hz).with_channels(Channels::Discrete(channels));
        Self { params, delay: 0 }
    }

    /// The same with the codec's own header.
    pub fn with_header(mut self, header: &[u8]) -> Self {
        self.params.with_extra_data(header.into());
        self
    }

    /// Uncompressed samples.
    pub fn pcm(shape: Pcm, rate_hz: u32, channels: u16) -> Option<Self> {
        let mut format = Self::new(shape.codec()?, rate_hz, channels);
        format.params.with_bits_per_sample(shape.bits).with_bits_per_coded_sample(shape.bits);
        Some(format)
    }

    /// Opus. Decoders give 48 kHz, whatever was recorded; more than two channels need a mapping that ours has not.
    pub fn opus(channels: u16, delay: u32) -> Self {
        Self { delay, ..Self::new(known::CODEC_ID_OPUS, 48_000, channels) }
    }

    /// AAC by its AudioSpecificConfig. Of HE-AAC the core is decoded, which holds all below a quarter of the stated rate:
    /// more than is listened to.
    pub fn aac(config: &[u8]) -> Option<Self> {
        let config = AacConfig::read(config)?;
        let format = Self::new(known::CODEC_ID_AAC, config.rate_hz, u16::from(config.channels));
        Some(match config.core() {
            Some(core) => format.with_header(&core),
            None => format.with_header(&config.whole),
        })
    }
}

/// Uncompressed samples: width and meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pcm {
    /// Bits of a sample.
    pub bits: u32,
    /// Floating point.
    pub is_float: bool,
    /// Not offset by half of the range.
    pub is_signed: bool,
    /// The most significant byte comes first.
    pub is_big_endian: bool,
}

impl Pcm {
    fn codec(self) -> Option<AudioCodecId> {
        let Self { bits, is_float, is_signed, is_big_endian } = self;
        Some(match (bits, is_float, is_signed, is_big_endian) {
            (32, true, _, false) => known::CODEC_ID_PCM_F32LE,
            (32, true, _, true) => known::CODEC_ID_PCM_F32BE,
            (64, true, _, false) => known::CODEC_ID_PCM_F64LE,
            (64, true, _, true) => known::CODEC_ID_PCM_F64BE,
            (8, false, true, _) => known::CODEC_ID_PCM_S8,
            (8, false, false, _) => known::CODEC_ID_PCM_U8,
            (16, false, true, false) => known::CODEC_ID_PCM_S16LE,
            (16, false, true, true) => known::CODEC_ID_PCM_S16BE,
            (24, false, true, false) => known::CODEC_ID_PCM_S24LE,
            (24, false, true, true) => known::CODEC_ID_PCM_S24BE,
            (32, false, true, false) => known::CODEC_ID_PCM_S32LE,
            (32, false, true, true) => known::CODEC_ID_PCM_S32BE,
            (16, false, false, false) => known::CODEC_ID_PCM_U16LE,
            (16, false, false, true) => known::CODEC_ID_PCM_U16BE,
            _ => return None,
        })
    }
}

/// The rates that an AudioSpecificConfig and an ADTS header number.
pub const AAC_RATES_HZ: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

const AAC_LC: u8 = 2;
/// Spectral band replication, and with it parametric stereo.
const AAC_SBR: u8 = 5;
const AAC_PS: u8 = 29;

/// The start of an AudioSpecificConfig.
struct AacConfig {
    object_type: u8,
    rate_index: u8,
    rate_hz: u32,
    channels: u8,
    /// All of it.
    whole: Vec<u8>,
}

impl AacConfig {
    fn read(whole: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: whole, at: 0 };
        let mut object_type = bits.object_type()?;
        let (rate_index, rate_hz) = bits.rate()?;
        let channels = u8::try_from(bits.take(4)?).ok()?;
        if object_type == AAC_SBR || object_type == AAC_PS {
            // the extended rate, then what the core is
            bits.rate()?;
            if bits.object_type()? != AAC_LC {
                object_type = 0;
            }
        }
        Some(Self { object_type, rate_index, rate_hz, channels, whole: whole.to_vec() })
    }

    /// The configuration of the LC core alone.
    fn core(&self) -> Option<[u8; 2]> {
        let has_core = [AAC_LC, AAC_SBR, AAC_PS].contains(&self.object_type);
        let known = has_core && usize::from(self.rate_index) < AAC_RATES_HZ.len() && (1..=2).contains(&self.channels);
        // frames of 960 samples are a flag behind this, which the whole has
        let short_frames = self.object_type == AAC_LC && self.whole.get(1).is_some_and(|byte| byte & 4 != 0);
        (known && !short_frames).then(|| lc_config(self.rate_index, self.channels))
    }
}

/// An AudioSpecificConfig for AAC-LC.
pub fn lc_config(rate_index: u8, channels: u8) -> [u8; 2] {
    [AAC_LC << 3 | rate_index >> 1, (rate_index & 1) << 7 | channels << 3]
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    fn object_type(&mut self) -> Option<u8> {
        let kind = match self.take(5)? {
            31 => 32 + self.take(6)?,
            kind => kind,
        };
        u8::try_from(kind).ok()
    }

    fn rate(&mut self) -> Option<(u8, u32)> {
        match self.take(4)? {
            15 => Some((15, self.take(24)?)),
            index => Some((u8::try_from(index).ok()?, *AAC_RATES_HZ.get(index as usize)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn of_high_efficiency_aac_the_core_is_told() {
        // LC at 24 kHz, stereo; SBR to 48 kHz over it: 5, 6 (24 kHz), 2, 3 (48 kHz), 2
        let explicit = [0b0010_1011, 0b0001_0001, 0b1000_1000];
        let format = Format::aac(&explicit).unwrap();
        assert_eq!(format.params.sample_rate, Some(24_000));
        assert_eq!(format.params.extra_data.as_deref(), Some(&lc_config(6, 2)[..]));
        // what is no LC is left as it is, for the decoder to refuse
        let main = [1 << 3 | 1, 0x90];
        assert_eq!(Format::aac(&main).unwrap().params.extra_data.as_deref(), Some(&main[..]));
        assert!(Format::aac(&[0x12]).is_none());
    }
}
