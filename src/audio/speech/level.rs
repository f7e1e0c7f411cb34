//! How loud a stream is: at its loudest of late, around each frame, and where nothing happens.

use std::collections::VecDeque;

use super::BLOCK_FRAMES;

/// Frames of a stretch that may be louder than its level, so that a click does not set it. A short word is 15 frames.
const LOUD_FRAMES: usize = 6;

/// What is left of a level after each block: halves in 7 s, so that a quiet speaker after a loud one is found.
const LEVEL_DECAY: f32 = 0.9;

/// Around a frame, what belongs to its own level, 0.5 s to each side; a click of three frames does not set it.
const AROUND_FRAMES: usize = 32;
const CLICK_FRAMES: usize = 3;

/// Digital silence and its dither (-80 dBFS): says nothing about the noise of a room.
const SILENCE_RMS: f32 = 0.000_03;

/// Blocks whose quietest tenths tell the noise of a room, 16 s, and of them the share that may lie below it.
const ROOM_BLOCKS: usize = 16;
const ROOM_SHARE: usize = 4;

/// Levels of the frames at hand: some that were judged, those to be judged, some that follow.
#[derive(Default)]
pub struct Levels {
    frames: VecDeque<f32>,
    /// Those of them that were judged.
    past: usize,
    /// The quietest tenth of each of the last blocks.
    quiet: VecDeque<f32>,
    /// That of the block to be judged.
    here: f32,
    loudest: f32,
}

impl Levels {
    /// Takes a frame's RMS.
    pub fn push(&mut self, rms: f32) {
        self.frames.push_back(rms);
    }

    /// The next `block` frames are to be judged.
    pub fn turn(&mut self, block: usize) {
        let rms: Vec<f32> = self.frames.iter().skip(self.past).copied().collect();
        let (now, next) = rms.split_at(block.min(rms.len()));
        // a word across two blocks is brought to one level, that of its louder half
        self.loudest = (self.loudest * LEVEL_DECAY).max(nth_loudest(now)).max(nth_loudest(next));
        let mut sorted = now.to_vec();
        sorted.sort_by(f32::total_cmp);
        // between gated sounds nothing is heard of the room
        self.here = sorted.get(sorted.len() / 10).copied().filter(|rms| *rms > SILENCE_RMS).unwrap_or_default();
        if self.here > 0.0 {
            self.quiet.push_back(self.here);
            let surplus = self.quiet.len().saturating_sub(ROOM_BLOCKS);
            self.quiet.drain(..surplus);
        }
    }

    /// The `block` frames were judged.
    pub fn turned(&mut self, block: usize) {
        self.past += block;
        let surplus = self.past.saturating_sub(BLOCK_FRAMES);
        self.frames.drain(..surplus.min(self.frames.len()));
        self.past -= surplus;
    }

    /// The level of what is loudest of late.
    pub fn loudest(&self) -> f32 {
        self.loudest
    }

    /// The noise of the room: what is left where nothing happens, and no more than what is quietest here. 0 in digital
    /// silence.
    pub fn room(&self) -> f32 {
        let mut sorted: Vec<f32> = self.quiet.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / ROOM_SHARE).map_or(0.0, |room| room.min(self.here))
    }

    /// The level around each of the next `block` frames.
    pub fn around(&self, block: usize) -> impl Iterator<Item = f32> {
        (self.past..self.past + block).map(|at| {
            let from = at.saturating_sub(AROUND_FRAMES);
            let mut near: Vec<f32> =
                self.frames.iter().skip(from).take(at + AROUND_FRAMES + 1 - from).copied().collect();
            let nth = CLICK_FRAMES.min(near.len().saturating_sub(1));
            if nth >= near.len() {
                return 0.0;
            }
            *near.select_nth_unstable_by(nth, |a, b| b.total_cmp(a)).1
        })
    }

    /// The level of each of the next `block` frames over 80 ms.
    pub fn smooth(&self, block: usize) -> impl Iterator<Item = f32> {
        (self.past..self.past + block).map(|at| {
            let from = at.saturating_sub(2);
            let near = self.frames.iter().skip(from).take(at + 3 - from);
            near.clone().sum::<f32>() / near.len().max(1) as f32
        })
    }
}

/// The RMS of a stretch's louder frames.
fn nth_loudest(rms: &[f32]) -> f32 {
    let mut sorted = rms.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(LOUD_FRAMES.min(sorted.len() / 8)).copied().unwrap_or_default()
}
