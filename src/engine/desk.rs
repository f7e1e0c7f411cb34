//! Where lanes get their windows and leave their answers.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::lane::Answer;
use crate::transcribe::wire::{Request, Response, read_frame, write_frame};

type Work = (Request, Vec<f32>);

/// Has the lanes answer requests until their stream ends, or until nobody reads the answers any more; then says with which
/// status: 0 where the daemon has gone or wants us gone, so that an answer in the making has no reader. Lanes are awaited after
/// that, if `end` returns.
pub fn serve<T>(
    lanes: Vec<impl Rows + Send>,
    requests: &mut impl Read,
    responses: &Mutex<impl Write + Send>,
    end: impl FnOnce(i32) -> T,
) -> T {
    // rendezvous: the daemon decides what waits, not a buffer in here
    let (feed, work) = sync_channel::<Work>(0);
    // the lanes' alone: when the last of them has ended, what waits for them must not wait for ever
    let work = Arc::new(Mutex::new(work));
    let rows: Vec<AtomicUsize> = lanes.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for (index, mut lane) in lanes.into_iter().enumerate() {
            let desk = Desk { work: work.clone(), rows: &rows, index };
            scope.spawn(move || desk.serve(&mut lane, |answer| reply(responses, answer)));
        }
        drop(work);
        // a panic here would wait for lanes that nobody feeds any more, as long as the machine runs
        let status = guarded(|| match pump(requests, feed) {
            Ok(()) => 0,
            Err(error) => {
                tracing::error!("the engine ends: {error}");
                1
            }
        });
        end(status.unwrap_or(1))
    })
}

fn pump(requests: &mut impl Read, feed: SyncSender<Work>) -> io::Result<()> {
    while let Some(work) = read_frame::<Request>(requests)? {
        if feed.send(work).is_err() {
            return Err(io::Error::other("all lanes have ended"));
        }
    }
    Ok(())
}

/// What a lane is asked to do at its desk.
pub trait Rows {
    /// Windows under way.
    fn rows(&self) -> usize;
    /// Whether another may join.
    fn has_room(&self) -> bool;
    /// Takes one more.
    fn join(&mut self, request: &Request, samples: &[f32]) -> Result<(), String>;
    /// A token further with all; those that are done.
    fn step(&mut self) -> Result<Vec<Answer>, String>;
    /// Lets all go, and says which they were.
    fn clear(&mut self) -> Vec<u64>;
}

/// Where a lane gets its work.
struct Desk<'a> {
    work: Arc<Mutex<Receiver<Work>>>,
    /// How many windows each lane has.
    rows: &'a [AtomicUsize],
    index: usize,
}

impl Desk<'_> {
    /// A lane's work. A panic in it is a bug in our own steps between ggml's, each of which leaves the lane whole or ends the
    /// process: its windows are answered, and the lane goes on.
    fn serve(&self, lane: &mut impl Rows, mut answer: impl FnMut(Answer) -> io::Result<()>) {
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

/// Writes a response.
///
/// # Errors
/// The pipe's.
pub fn say(responses: &Mutex<impl Write>, response: &Response) -> io::Result<()> {
    write_frame(&mut *responses.lock().unwrap_or_else(PoisonError::into_inner), response, &[])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use crate::transcribe::wire::{WindowOptions, WindowText, encode_frame};

    /// A lane of two rows that answers at the second step, and panics at windows of these lengths.
    #[derive(Default)]
    struct Scripted {
        rows: Vec<(u64, u8)>,
        largest: usize,
    }

    impl Rows for Scripted {
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
        let rows = [AtomicUsize::new(0)];
        Desk { work: Arc::new(Mutex::new(work)), rows: &rows, index: 0 }.serve(&mut lane, |(id, answer)| {
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

    /// Where nobody reads any more.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_engine_whose_answers_nobody_reads_ends_though_requests_wait() {
        let request = |id| encode_frame(&Request { id, options: WindowOptions::default() }, &[0.0; 3]).unwrap();
        let requests: Vec<u8> = (1..9).flat_map(request).collect();
        let (ended, end) = channel();
        thread::spawn(move || {
            let lanes = vec![Scripted::default(), Scripted::default()];
            serve(lanes, &mut requests.as_slice(), &Mutex::new(Broken), |status| ended.send(status))
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(1));
    }
}
