//! Numbers out of a model's file into tensors, of one kind into another, several tensors at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Layout, Matrix};
use crate::engine::native::store::fill;
use crate::engine::native::tensor::{Kind, Tensor};
use crate::engine::native::{octets, tiles};
use crate::model::ggml::Tensor as Source;

/// Numbers converted at a time.
const CHUNK: usize = 1 << 18;

/// What is to be read into a tensor.
pub struct Job {
    /// Where in the file.
    pub source: Source,
    /// The tensor.
    pub target: Tensor<'static>,
    /// First byte of the target.
    pub offset: usize,
    /// How.
    pub shape: Shape,
}

/// How the numbers in the file become the tensor's.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One after the other, in rows of so many.
    Rows(usize),
    /// A convolution's, `[taps, channels, outputs]`: of each output tap by tap, filled up with zeros to so many.
    Taps(usize),
}

/// Does all of it, in the order of the file.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path, mut jobs: Vec<Job>) -> io::Result<()> {
    jobs.sort_by_key(|job| job.source.offset);
    let next = AtomicUsize::new(0);
    let file = File::open(path)?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..threads).map(|_| scope.spawn(|| read_all(&file, &jobs, &next))).collect();
        readers.into_iter().try_for_each(|reader| {
            reader.join().unwrap_or_else(|_| Err(io::Error::other("bug: reading the weights panicked")))
        })
    })
}

/// Lays these matrices out as they are to lie, several at a time.
///
/// # Errors
/// A bug.
pub fn lay_out(matrices: &[Matrix]) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        let parts = matrices.chunks(matrices.len().div_ceil(threads).max(1));
        let lay_out = |matrix: &Matrix| match matrix.layout {
            Layout::Plain => Ok(()),
            Layout::Tiles => tiles::lay_out(matrix.numbers),
            Layout::Octets => octets::lay_out(matrix.numbers),
        };
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().try_for_each(lay_out))).collect();
        parts.into_iter().try_for_each(|part| {
            let done = part.join().unwrap_or_else(|_| Err("bug: laying out the weights panicked".to_owned()));
            done.map_err(io::Error::other)
        })
    })
}

fn read_all(file: &File, jobs: &[Job], next: &AtomicUsize) -> io::Result<()> {
    let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        match job.shape {
            Shape::Rows(width) => job.read_rows(file, width, &mut bytes, &mut numbers)?,
            Shape::Taps(row) => job.read_taps(file, row, &mut bytes, &mut numbers)?,
        }
    }
    Ok(())
}

impl Job {
    fn read_rows(&self, file: &File, width: usize, bytes: &mut Vec<u8>, numbers: &mut Vec<f32>) -> io::Result<()> {
        let (from, to) = (Kind::of_file(self.source.kind), self.target.kind());
        let row_bytes = from.row_bytes(width);
        let rows = self.source.bytes as usize / row_bytes;
        let at_once = (CHUNK / width).max(1);
        for first in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - first);
            bytes.resize(count * row_bytes, 0);
            file.read_exact_at(bytes, self.source.offset + (first * row_bytes) as u64)?;
            let offset = self.offset + first * to.row_bytes(width);
            if from == to {
                fill(self.target, bytes, offset)?;
                continue;
            }
            from.to_f32(bytes, numbers).map_err(io::Error::other)?;
            fill(self.target, &to.from_f32(numbers, width), offset)?;
        }
        Ok(())
    }

    fn read_taps(&self, file: &File, row: usize, bytes: &mut Vec<u8>, numbers: &mut Vec<f32>) -> io::Result<()> {
        bytes.resize(self.source.bytes as usize, 0);
        file.read_exact_at(bytes, self.source.offset)?;
        Kind::of_file(self.source.kind).to_f32(bytes, numbers).map_err(io::Error::other)?;
        let channels = self.source.dims.get(1).map_or(1, |channels| *channels as usize);
        let mut by_tap = Vec::with_capacity(numbers.len());
        for output in numbers.chunks(3 * channels) {
            for tap in 0..3 {
                by_tap.extend(output.iter().skip(tap).step_by(3));
            }
            by_tap.resize(by_tap.len().next_multiple_of(row), 0.0);
        }
        fill(self.target, &self.target.kind().from_f32(&by_tap, row), self.offset)
    }
}
