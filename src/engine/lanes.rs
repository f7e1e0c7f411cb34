//! N lanes, each a Whisper state on a thread of its own, fed from one stream of requests.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::EngineArgs;
use super::device::{self, Device};
use super::native;
use super::whisper::{Lane, Weights};
use crate::transcribe::wire::{
    EngineInfo, PROTOCOL, Request, Response, WindowOptions, WindowText, read_frame, write_frame,
};

type Work = (Request, Vec<f32>);

/// Loads the weights, makes the lanes, has each of them compute, says `Ready`, and answers requests until the stream ends.
/// Then it ends the process: lanes may be at work, and neither they nor the GPU's driver are to be taken down under them.
///
/// # Errors
/// There is no such GPU, a model cannot be loaded, a lane cannot be made or cannot compute.
pub fn run(args: &EngineArgs, mut requests: impl Read, responses: impl Write + Send) -> io::Result<Infallible> {
    let started = Instant::now();
    // before anything is loaded: without its GPU whisper.cpp goes on with the CPU, and says so nowhere
    let device = device::choose(native::devices::all(), args.gpu).map_err(io::Error::other)?;
    let weights = Weights::load(&args.model, args.decoder_model.as_deref(), args.gpu)?;
    // all states exist before the first runs: making one while others work is where CUDA builds broke before
    let mut lanes = (0..args.lanes).map(|_| Lane::new(&weights, args.threads)).collect::<io::Result<Vec<Lane>>>()?;
    warm_up(&mut lanes)?;
    let responses = Mutex::new(responses);
    say(&responses, &Response::Ready(info(device, weights.is_multilingual(), lanes.len(), started)))?;
    // rendezvous: the daemon decides what waits, not a buffer in here
    let (feed, work) = sync_channel::<Work>(0);
    let work = Mutex::new(work);
    thread::scope(|scope| {
        for mut lane in lanes {
            let (work, responses) = (&work, &responses);
            scope.spawn(move || serve(|samples, options| lane.transcribe(samples, options), work, responses));
        }
        let status = match pump(&mut requests, &feed) {
            // the daemon has gone or wants us gone: an answer in the making has no reader
            Ok(()) => 0,
            Err(error) => {
                tracing::error!("the engine ends: {error}");
                1
            }
        };
        native::exit(status)
    })
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

fn info(device: Device, multilingual: bool, lanes: usize, started: Instant) -> EngineInfo {
    EngineInfo {
        protocol: PROTOCOL,
        multilingual,
        backend: device.backend(),
        memory_mib: device.memory_mib(),
        encodes_all: device.is_gpu(),
        driver: if device.is_gpu() { device::driver() } else { None },
        device: device.description,
        lanes,
        load_ms: millis_since(started),
    }
}

fn pump(requests: &mut impl Read, feed: &SyncSender<Work>) -> io::Result<()> {
    while let Some(work) = read_frame::<Request>(requests)? {
        if feed.send(work).is_err() {
            return Err(io::Error::other("all lanes have ended"));
        }
    }
    Ok(())
}

/// A lane's work. A panic in it is a bug in our own steps between whisper.cpp's calls, each of which leaves the state whole
/// or ends the process: the window is answered, and the lane goes on.
fn serve(
    mut transcribe: impl FnMut(&[f32], &WindowOptions) -> Result<WindowText, String>,
    work: &Mutex<Receiver<Work>>,
    responses: &Mutex<impl Write>,
) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((Request { id, options }, samples)) = next else { return };
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| transcribe(&samples, &options)));
        let response = match result.unwrap_or_else(|_| Err("bug: the lane panicked".to_owned())) {
            Ok(mut text) => {
                text.busy_ms = u32::try_from(millis_since(started)).unwrap_or(u32::MAX);
                Response::Done { id, text }
            }
            Err(reason) => Response::Failed { id, reason },
        };
        if say(responses, &response).is_err() {
            return;
        }
    }
}

fn say(responses: &Mutex<impl Write>, response: &Response) -> io::Result<()> {
    write_frame(&mut *responses.lock().unwrap_or_else(PoisonError::into_inner), response, &[])
}

fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_lane_that_panics_answers_its_window_and_goes_on() {
        let (feed, work) = sync_channel(2);
        for id in [1, 2] {
            feed.send((Request { id, options: WindowOptions::default() }, vec![])).unwrap();
        }
        drop(feed);
        let answers = Mutex::new(Vec::new());
        let mut first = true;
        let lane = |_: &[f32], _: &WindowOptions| {
            assert!(!std::mem::take(&mut first), "a bug");
            Ok(WindowText::default())
        };
        serve(lane, &Mutex::new(work), &answers);
        let answers = answers.into_inner().unwrap();
        let mut from = answers.as_slice();
        let mut next = || read_frame::<Response>(&mut from).unwrap().unwrap().0;
        assert!(matches!(next(), Response::Failed { id: 1, .. }));
        assert!(matches!(next(), Response::Done { id: 2, .. }));
    }
}
