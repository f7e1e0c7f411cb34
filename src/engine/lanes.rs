//! N lanes, each a Whisper state on a thread of its own, fed from one stream of requests.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::EngineArgs;
use super::whisper::{Lane, Weights};
use crate::transcribe::wire::{EngineInfo, PROTOCOL, Request, Response, read_frame, write_frame};

type Work = (Request, Vec<f32>);

/// Loads the weights, makes the lanes, says `Ready`, and answers requests until the stream ends.
///
/// # Errors
/// A model that cannot be loaded, a lane that cannot be made, a stream that breaks the protocol.
pub fn run(args: &EngineArgs, mut requests: impl Read, responses: impl Write + Send) -> io::Result<()> {
    let started = Instant::now();
    let weights = Weights::load(&args.model, args.decoder_model.as_deref(), args.gpu)?;
    // all states exist before the first runs: making one while others work is where CUDA builds broke before
    let lanes = (0..args.lanes).map(|_| Lane::new(&weights, args.threads)).collect::<io::Result<Vec<Lane>>>()?;
    let responses = Mutex::new(responses);
    say(
        &responses,
        &Response::Ready(EngineInfo {
            protocol: PROTOCOL,
            multilingual: weights.is_multilingual(),
            backend: if args.gpu.is_some() { "cuda" } else { "cpu" }.to_owned(),
            lanes: lanes.len(),
            load_ms: millis_since(started),
        }),
    )?;
    // rendezvous: the daemon decides what waits, not a buffer in here
    let (feed, work) = sync_channel::<Work>(0);
    let work = Mutex::new(work);
    thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(|| serve(lane, &work, &responses));
        }
        let ended = pump(&mut requests, &feed);
        drop(feed);
        ended
    })
}

fn pump(requests: &mut impl Read, feed: &SyncSender<Work>) -> io::Result<()> {
    while let Some(work) = read_frame::<Request>(requests)? {
        if feed.send(work).is_err() {
            return Err(io::Error::other("all lanes have ended"));
        }
    }
    // the daemon has gone or wants us gone: an answer in the making has no reader
    std::process::exit(0)
}

fn serve(mut lane: Lane, work: &Mutex<Receiver<Work>>, responses: &Mutex<impl Write>) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((request, samples)) = next else { return };
        let started = Instant::now();
        let response = match lane.transcribe(&samples, &request.options) {
            Ok(mut text) => {
                text.busy_ms = u32::try_from(millis_since(started)).unwrap_or(u32::MAX);
                Response::Done { id: request.id, text }
            }
            Err(reason) => Response::Failed { id: request.id, reason },
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
