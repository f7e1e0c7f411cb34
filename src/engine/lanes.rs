//! N lanes, each a batch of rows on a thread of its own, fed from one stream of requests.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::EngineArgs;
use super::desk::{self, Rows};
use super::device::{self, Device};
use super::forward::Forward;
use super::lane::{Answer, Lane};
use super::model::Model;
use super::native;
use super::native::backend::Backend;
use super::room::{self, Room};
use super::trial;
use crate::gpus::capability;
use crate::transcribe::wire::{EngineInfo, PROTOCOL, Request, Response};

/// Loads the weights, makes the lanes, has each of them compute, says `Ready`, and answers requests until the stream ends.
/// Then it ends the process: lanes may be at work, and neither they nor the GPU's driver are to be taken down under them.
///
/// # Errors
/// There is no such GPU, a model cannot be loaded, a lane cannot be made or cannot compute.
pub fn run(args: &EngineArgs, mut requests: impl Read, responses: impl Write + Send) -> io::Result<Infallible> {
    let started = Instant::now();
    let device = device::choose(native::devices::all(), args.gpu).map_err(io::Error::other)?;
    let Room { rows: windows, kinds } = room::of(args, &device).map_err(io::Error::other)?;
    let mut backends = streams(args, windows).map(|rows| Ok((Backend::new(args.gpu, args.threads)?, rows)));
    let first: Option<io::Result<(Backend, usize)>> = backends.next();
    let (mut first, rows) = first.unwrap_or_else(|| Err(io::Error::other("bug: no stream")))?;
    let kinds = kinds.map_or_else(|| trial::kinds(&args.weights, &args.model, &mut first), Ok)?;
    let model = Arc::new(Model::load(&args.model, kinds, first.memory())?);
    let others = backends.collect::<io::Result<Vec<_>>>()?;
    // all memory is had before the first window runs
    let lanes = std::iter::once((first, rows)).chain(others).map(|(backend, rows)| {
        let width = usize::from(args.beam_size.max(1));
        let forward = Forward::new(model.clone(), backend, rows * width)?;
        Ok(Lane::new(forward, rows, width, args.gpu.is_some()))
    });
    let mut lanes = lanes.collect::<io::Result<Vec<Lane>>>()?;
    warm_up(&mut lanes)?;
    let responses = Mutex::new(responses);
    let info = info(device, args.gpu, model.vocabulary.is_multilingual(), windows, started);
    desk::say(&responses, &Response::Ready(info))?;
    // a lane may be at work: the process ends under it
    desk::serve(lanes, &mut requests, &responses, |status| native::exit(status))
}

/// The rows of each stream: on a GPU one has them all, on a processor each core has its share.
fn streams(args: &EngineArgs, rows: usize) -> impl Iterator<Item = usize> + use<> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let streams = match args.gpu {
        Some(_) => 1,
        None => (cores / usize::from(args.threads)).clamp(1, rows),
    };
    (0..streams).map(move |stream| rows / streams + usize::from(stream < rows % streams))
}

/// A kernel that was not built for this GPU, or one that the driver refuses, is met at the first computation, not at loading.
fn warm_up(lanes: &mut [Lane]) -> io::Result<()> {
    thread::scope(|scope| {
        let lanes: Vec<_> = lanes.iter_mut().map(|lane| scope.spawn(|| lane.warm_up())).collect();
        lanes.into_iter().try_for_each(|lane| {
            let computed = lane.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
            computed.map_err(|reason| io::Error::other(format!("a lane cannot compute: {reason}")))
        })
    })
}

fn info(device: Device, gpu: Option<u8>, multilingual: bool, lanes: usize, started: Instant) -> EngineInfo {
    EngineInfo {
        protocol: PROTOCOL,
        multilingual,
        backend: device.backend(),
        memory_mib: device.memory_mib(),
        encodes_all: device.is_gpu(),
        driver: if device.is_gpu() { device::driver() } else { None },
        capability: gpu.and_then(capability),
        device: device.description,
        lanes,
        load_ms: millis_since(started),
    }
}

impl Rows for Lane {
    fn rows(&self) -> usize {
        Lane::rows(self)
    }

    fn has_room(&self) -> bool {
        Lane::has_room(self)
    }

    fn join(&mut self, request: &Request, samples: &[f32]) -> Result<(), String> {
        Lane::join(self, request, samples)
    }

    fn step(&mut self) -> Result<Vec<Answer>, String> {
        Lane::step(self)
    }

    fn clear(&mut self) -> Vec<u64> {
        Lane::clear(self)
    }
}

fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
