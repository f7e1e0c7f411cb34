//! Noise, to see whether an engine computes at all when a window of a job failed: the witness of who is to blame.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::task::{SessionId, Task};
use super::wire::WindowOptions;
use crate::audio::SAMPLE_RATE_HZ;

/// No job's session has this number.
const SESSION: SessionId = SessionId::MAX;

/// Well under full scale.
const AMPLITUDE: f32 = 0.1;

/// What an engine is to prove itself with: as much work as the window that failed was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    samples: usize,
    options: WindowOptions,
}

impl Default for Probe {
    /// A second.
    fn default() -> Self {
        Self { samples: SAMPLE_RATE_HZ as usize, options: WindowOptions::default() }
    }
}

impl Probe {
    /// The work of this window, without what is the job's own: its language and prompt.
    pub fn like(task: &Task) -> Self {
        let WindowOptions { beam_size, careful, .. } = task.options;
        Self { samples: task.pcm.len(), options: WindowOptions { beam_size, careful, ..WindowOptions::default() } }
    }

    /// Samples of noise in it.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// A window that no job waits for.
    pub fn task(&self, id: u64) -> Task {
        let pcm = Arc::new(noise(self.samples));
        let options = self.options.clone();
        Task {
            id,
            session: SESSION,
            share: Default::default(),
            options,
            pcm,
            strikes: Vec::new(),
            withdrawn: Arc::default(),
            reply: oneshot::channel().0,
        }
    }
}

impl Task {
    /// Whether it was made by [`Probe::task`].
    pub fn is_probe(&self) -> bool {
        self.session == SESSION
    }
}

/// White noise, always the same.
pub fn noise(samples: usize) -> Vec<f32> {
    // the generator of Numerical Recipes; its high bits are random enough for noise
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32 * AMPLITUDE
    };
    (0..samples).map(|_| next()).collect()
}
