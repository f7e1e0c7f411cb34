//! The codecs that are built in: those of symphonia, and libopus for Opus.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::{Error, Result as CodecResult};

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// A decoder that leaves trimming to us where symphonia's would lose audio.
pub fn decoder(params: &AudioCodecParameters) -> CodecResult<Box<dyn AudioDecoder>> {
    let mpeg = [well_known::CODEC_ID_MP1, well_known::CODEC_ID_MP2, well_known::CODEC_ID_MP3].contains(&params.codec);
    CODECS.make_audio_decoder(params, &AudioDecoderOptions::default().gapless(!mpeg))
}

/// Runs decoder code; a panic in it is an error of the file.
pub fn guarded<T>(work: impl FnOnce() -> CodecResult<T>) -> CodecResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::DecodeError("the decoder panicked")))
}

/// What people call a codec.
pub fn name(params: &AudioCodecParameters) -> String {
    let known = [
        (well_known::CODEC_ID_AAC, "aac"),
        (well_known::CODEC_ID_AC3, "ac3"),
        (well_known::CODEC_ID_EAC3, "e-ac3"),
        (well_known::CODEC_ID_AC4, "ac4"),
        (well_known::CODEC_ID_DCA, "dts"),
        (well_known::CODEC_ID_TRUEHD, "truehd"),
        (well_known::CODEC_ID_OPUS, "opus"),
        (well_known::CODEC_ID_VORBIS, "vorbis"),
        (well_known::CODEC_ID_FLAC, "flac"),
        (well_known::CODEC_ID_MP3, "mp3"),
        (well_known::CODEC_ID_SPEEX, "speex"),
        (well_known::CODEC_ID_WAVPACK, "wavpack"),
        (well_known::CODEC_ID_TTA, "tta"),
        (well_known::CODEC_ID_WMA, "wma"),
    ];
    let name = known.iter().find(|(id, _)| *id == params.codec).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("codec {}", params.codec))
}
