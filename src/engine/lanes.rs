//! N lanes, each a batch of rows on a thread of its own, fed from one stream of requests.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::EngineArgs;
use super::device::{self, Device};
use super::forward::Forward;
use super::lane::{Answer, Lane};
use super::model::Model;
use super::native;
use super::native::backend::Backend;
use super::room::{self, Room};
use super::trial;
use crate::gpus::capability;
use crate::transcribe::wire::{EngineInfo, PROTOCOL, Request, Response, read_frame, write_frame};

type Work = (Request, Vec<f32>);

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
    say(&responses, &Response::Ready(info))?;
    // rendezvous: the daemon decides what waits, not a buffer in here
    let (feed, work) = sync_channel::<Work>(0);
    let work = Mutex::new(work);
    let rows: Vec<AtomicUsize> = lanes.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for (index, lane) in lanes.into_iter().enumerate() {
            let (work, responses, rows) = (&work, &responses, &rows);
            scope.spawn(move || Desk { work, rows, index }.serve(lane, |answer| reply(responses, answer)));
        }
        // a panic here would wait for lanes that nobody feeds any more, as long as the machine runs
        let status = guarded(|| match pump(&mut requests, &feed) {
            // the daemon has gone or wants us gone: an answer in the making has no reader
            Ok(()) => 0,
            Err(error) => {
                tracing::error!("the engine ends: {error}");
                1
            }
        });
        native::exit(status.unwrap_or(1))
    })
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

fn pump(requests: &mut impl Read, feed: &SyncSender<Work>) -> io::Result<()> {
    while let Some(work) = read_frame::<Request>(requests)? {
        if feed.send(work).is_err() {
            return Err(io::Error::other("all lanes have ended"));
        }
    }
    Ok(())
}

/// What a lane is asked to do at its desk.
trait Rows {
    fn rows(&self) -> usize;
    fn has_room(&self) -> bool;
    fn join(&mut self, request: &Request, samples: &[f32]) -> Result<(), String>;
    fn step(&mut self) -> Result<Vec<Answer>, String>;
    fn clear(&mut self) -> Vec<u64>;
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

/// Where a lane gets its work.
struct Desk<'a> {
    work: &'a Mutex<Receiver<Work>>,
    /// How many windows each lane has.
    rows: &'a [AtomicUsize],
    index: usize,
}

impl Desk<'_> {
    /// A lane's work. A panic in it is a bug in our own steps between ggml's, each of which leaves the lane whole or ends the
    /// process: its windows are answered, and the lane goes on.
    fn serve(&self, mut lane: impl Rows, mut answer: impl FnMut(Answer) -> io::Result<()>) {
        loop {
            while lane.has_room() {
                let next = if lane.rows() == 0 { self.wait() } else { self.look() };
                let (Request { id, options }, samples) = match next {
                    Next::Work(work) => work,
                    Next::Nothing => break,
                    Next::End => return,
                };
                let joined = guarded(|| lane.join(&Request { id, options }, &samples));
                if joined.and_then(|joined| joined).is_err_and(|reason| answer((id, Err(reason))).is_err()) {
                    return;
                }
                self.tell(lane.rows());
            }
            if lane.rows() == 0 {
                continue;
            }
            let answers = guarded(|| lane.step())
                .and_then(|answers| answers)
                .unwrap_or_else(|reason| lane.clear().into_iter().map(|id| (id, Err(reason.clone()))).collect());
            self.tell(lane.rows());
            if answers.into_iter().any(|done| answer(done).is_err()) {
                return;
            }
        }
    }

    fn wait(&self) -> Next {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.recv().map_or(Next::End, Next::Work)
    }

    /// Work that waits, unless a lane with fewer windows is there for it.
    fn look(&self) -> Next {
        let own = self.rows.get(self.index).map_or(0, |own| own.load(Ordering::Relaxed));
        if self.rows.iter().any(|rows| rows.load(Ordering::Relaxed) < own) {
            return Next::Nothing;
        }
        // locked, an idle lane waits at it
        let Ok(work) = self.work.try_lock() else { return Next::Nothing };
        work.try_recv().map_or(Next::Nothing, Next::Work)
    }

    fn tell(&self, rows: usize) {
        if let Some(own) = self.rows.get(self.index) {
            own.store(rows, Ordering::Relaxed);
        }
    }
}

enum Next {
    Work(Work),
    Nothing,
    End,
}

fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "bug: the lane panicked".to_owned())
}

fn reply(responses: &Mutex<impl Write>, (id, answer): Answer) -> io::Result<()> {
    say(
        responses,
        &match answer {
            Ok(text) => Response::Done { id, text },
            Err(reason) => Response::Failed { id, reason },
        },
    )
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
    use crate::transcribe::wire::{WindowOptions, WindowText};

    /// A lane of two rows that answers at the second step, and panics at windows of these lengths.
    #[derive(Default)]
    struct Scripted {
        rows: Vec<(u64, u8)>,
        largest: usize,
    }

    impl Rows for &mut Scripted {
        fn rows(&self) -> usize {
            self.rows.len()
        }

        fn has_room(&self) -> bool {
            self.rows.len() < 2
        }

        fn join(&mut self, request: &Request, samples: &[f32]) -> Result<(), String> {
            assert_ne!(samples.len(), 13, "a bug");
            self.rows.push((request.id, u8::from(samples.len() == 7)));
            self.largest = self.largest.max(self.rows.len());
            Ok(())
        }

        fn step(&mut self) -> Result<Vec<Answer>, String> {
            assert!(self.rows.iter().all(|(_, hostile)| *hostile == 0), "a bug");
            Ok(self.rows.drain(..1).map(|(id, _)| (id, Ok(WindowText::default()))).collect())
        }

        fn clear(&mut self) -> Vec<u64> {
            self.rows.drain(..).map(|(id, _)| id).collect()
        }
    }

    fn answers(lengths: &[usize]) -> (Vec<(u64, bool)>, usize) {
        let (feed, work) = sync_channel(lengths.len());
        for (id, length) in (1..).zip(lengths) {
            feed.send((Request { id, options: WindowOptions::default() }, vec![0.0; *length])).unwrap();
        }
        drop(feed);
        let mut lane = Scripted::default();
        let mut answers = Vec::new();
        let (work, rows) = (Mutex::new(work), [AtomicUsize::new(0)]);
        Desk { work: &work, rows: &rows, index: 0 }.serve(&mut lane, |(id, answer)| {
            answers.push((id, answer.is_ok()));
            Ok(())
        });
        (answers, lane.largest)
    }

    #[test]
    fn a_lane_that_panics_answers_its_windows_and_goes_on() {
        assert_eq!(answers(&[13, 1]).0, [(1, false), (2, true)]);
        assert_eq!(answers(&[7, 1, 1]).0, [(1, false), (2, false), (3, true)]);
    }

    #[test]
    fn windows_that_wait_join_the_others_and_leave_one_by_one() {
        let (answers, largest) = answers(&[1, 1, 1, 1]);
        assert_eq!((answers, largest), (vec![(1, true), (2, true), (3, true), (4, true)], 2));
    }
}
