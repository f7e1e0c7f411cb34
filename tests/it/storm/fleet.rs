//! The workers of a storm: each berth has one, which is struck after some seconds and replaced as soon as it has ended.
//! What strikes when is drawn from the seed, for each berth by itself.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::imds::FakeImds;
use crate::interruptions::{INSTANCE_ACTION, on_instance};
use crate::running::Running;

/// What a spot notice leaves, seconds; real ones leave two minutes.
const NOTICE: Duration = Duration::from_secs(6);

/// How a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strike {
    Kill,
    Terminate,
    SpotNotice,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill -9",
            Self::Terminate => "SIGTERM",
            Self::SpotNotice => "spot notice",
        })
    }
}

/// One worker from its start to its end.
pub struct Life {
    /// `None` for those that saw the end of the storm.
    pub strike: Option<Strike>,
    pub log: Vec<String>,
}

/// Berths that are never empty until the storm is `over`.
pub struct Fleet<'a, C: Fn() -> Command> {
    /// A new worker.
    pub command: &'a C,
    /// How long one lives, from the moment that it is ready.
    pub lives_secs: Range<u64>,
    pub seed: u64,
    pub over: &'a CancellationToken,
}

impl<C: Fn() -> Command> Fleet<'_, C> {
    /// Every worker that lived until the storm was over.
    pub async fn sails(&self, berths: usize) -> Vec<Life> {
        join_all((1..=berths).map(|berth| self.berth(berth))).await.into_iter().flatten().collect()
    }

    async fn berth(&self, berth: usize) -> Vec<Life> {
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_mul(1_000).wrapping_add(berth as u64));
        let began = Instant::now();
        let mut lives = Vec::new();
        loop {
            let millis = random.u64(self.lives_secs.start * 1_000..self.lives_secs.end * 1_000);
            let strike = [Strike::Kill, Strike::Terminate, Strike::SpotNotice][random.usize(..3)];
            let imds = FakeImds::start().await;
            let mut worker = Running::start(&mut on_instance((self.command)(), &imds));
            worker.logs("\"worker ready\"").await;
            let strike = tokio::select! {
                () = self.over.cancelled() => None,
                () = sleep(Duration::from_millis(millis)) => Some(strike),
                status = worker.ended() => panic!("worker {berth} ended by itself: {status}: {:#?}", worker.log()),
            };
            if let Some(strike) = strike {
                println!("{:6.1} s  worker {berth}: {strike}", began.elapsed().as_secs_f64());
            }
            match strike {
                Some(Strike::Kill) => worker.kill().await,
                Some(Strike::Terminate) | None => worker.signal(Signal::TERM),
                Some(Strike::SpotNotice) => {
                    let notice = format!(r#"{{"action":"terminate","time":"{}"}}"#, Timestamp::now() + NOTICE);
                    imds.state().bodies.insert(INSTANCE_ACTION, notice);
                }
            }
            let status = worker.ended().await;
            assert!(strike == Some(Strike::Kill) || status.success(), "{status} after {strike:?}: {:#?}", worker.log());
            lives.push(Life { strike, log: worker.log() });
            if strike.is_none() {
                return lives;
            }
        }
    }
}
