//! The mel filter bank that Whisper's spectrograms were made with in training; a ggml file carries it.

/// Frequencies of a 400-point FFT, from 0 Hz to half the sample rate.
pub const BINS: usize = 201;

const NYQUIST_HZ: f64 = 8_000.0;
/// Slaney's scale: linear below this frequency, logarithmic above.
const KNEE_HZ: f64 = 1_000.0;
const KNEE_MEL: f64 = 15.0;
const LINEAR_HZ_PER_MEL: f64 = 200.0 / 3.0;
/// 27 mels above the knee multiply the frequency by this.
const LOG_RATIO: f64 = 6.4;
const LOG_MELS: f64 = 27.0;

/// `n_mels` triangular filters of equal area (Slaney's), row by row over [`BINS`]: what
/// `librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels)` gives.
pub fn filters(n_mels: usize) -> Vec<f32> {
    let top_mel = hz_to_mel(NYQUIST_HZ);
    let edge_hz = |index: usize| mel_to_hz(top_mel * index as f64 / (n_mels + 1) as f64);
    (0..n_mels)
        .flat_map(|mel| {
            let (low, peak, high) = (edge_hz(mel), edge_hz(mel + 1), edge_hz(mel + 2));
            (0..BINS).map(move |bin| {
                let hz = NYQUIST_HZ * bin as f64 / (BINS - 1) as f64;
                let triangle = ((hz - low) / (peak - low)).min((high - hz) / (high - peak)).max(0.0);
                (triangle * 2.0 / (high - low)) as f32
            })
        })
        .collect()
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz / LINEAR_HZ_PER_MEL } else { KNEE_MEL + (hz / KNEE_HZ).ln() * LOG_MELS / LOG_RATIO.ln() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < KNEE_MEL {
        mel * LINEAR_HZ_PER_MEL
    } else {
        KNEE_HZ * ((mel - KNEE_MEL) * LOG_RATIO.ln() / LOG_MELS).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_those_of_the_training() {
        // of OpenAI's published mel_filters.npz: the sum of all weights, the greatest of the last band, how many are not 0
        for (mels, sum, last, some) in
            [(80, 1.999_024_2, 0.003_164_711_9, 391), (128, 3.190_985_7, 0.005_041_601_6, 394)]
        {
            let bank = filters(mels);
            assert_eq!((bank.len(), bank[0]), (mels * BINS, 0.0));
            assert_eq!(bank.iter().filter(|weight| **weight > 0.0).count(), some);
            assert!((bank.iter().sum::<f32>() - sum).abs() < 1e-4);
            let top = bank[(mels - 1) * BINS..].iter().copied().fold(0.0, f32::max);
            assert!((top - last).abs() < 1e-7, "{top}");
        }
        assert!((filters(80)[1] - 0.024_862_59).abs() < 1e-7);
    }

    #[test]
    fn every_filter_hears_something_and_nothing_is_negative() {
        for n_mels in [80, 128] {
            let bank = filters(n_mels);
            assert!(bank.iter().all(|weight| *weight >= 0.0));
            assert!(bank.chunks(BINS).all(|filter| filter.iter().any(|weight| *weight > 0.0)));
        }
    }
}
