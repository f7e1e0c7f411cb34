//! What lies under any voice, taken out: rumble, hum's ground note, an offset.

use std::f64::consts::PI;

use crate::audio::SAMPLE_RATE_HZ;

/// The lowest voice speaks at 70 Hz and is known by what lies above: a corner here takes 24 dB off an octave below.
const CORNER_HZ: f64 = 90.0;

/// Of the two halves of a Butterworth filter of fourth order.
const SHARPNESS: [f64; 2] = [0.541_196_1, 1.306_563];

/// A high pass of fourth order at 16 kHz.
pub struct HighPass {
    halves: [Half; 2],
    begun: bool,
}

/// Second order, in transposed direct form II.
#[derive(Clone, Copy)]
struct Half {
    b0: f64,
    a1: f64,
    a2: f64,
    s1: f64,
    s2: f64,
}

impl Default for HighPass {
    fn default() -> Self {
        Self { halves: SHARPNESS.map(Half::new), begun: false }
    }
}

impl HighPass {
    /// Takes the next samples and gives them back filtered.
    pub fn pass<'a>(&'a mut self, samples: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        if let (false, Some(first)) = (self.begun, samples.first()) {
            // as if the stream had always been where it begins: an offset is no sound
            let [low, _] = &mut self.halves;
            low.settle(f64::from(*first));
            self.begun = true;
        }
        samples.iter().map(|sample| self.halves.iter_mut().fold(f64::from(*sample), |x, half| half.step(x)) as f32)
    }
}

impl Half {
    fn new(sharpness: f64) -> Self {
        let w = 2.0 * PI * CORNER_HZ / f64::from(SAMPLE_RATE_HZ);
        let alpha = w.sin() / (2.0 * sharpness);
        let a0 = 1.0 + alpha;
        Self { b0: f64::midpoint(1.0, w.cos()) / a0, a1: -2.0 * w.cos() / a0, a2: (1.0 - alpha) / a0, s1: 0.0, s2: 0.0 }
    }

    fn step(&mut self, x: f64) -> f64 {
        let y = self.b0 * x + self.s1;
        self.s1 = -2.0 * self.b0 * x - self.a1 * y + self.s2;
        self.s2 = self.b0 * x - self.a2 * y;
        y
    }

    /// The state that a constant input leads to, whose output is nothing.
    fn settle(&mut self, x: f64) {
        self.s1 = -self.b0 * x;
        self.s2 = self.b0 * x;
    }
}
