//! How messages are handled.

use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::within;
use crate::health::Patience;

/// How messages are handled.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Delivery")]
pub struct DeliveryConfig {
    /// Jobs in flight [default: one more than lanes, so that the next is decoded meanwhile]
    #[arg(long, env = "TRANSCRIPTION_JOBS", value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub jobs: Option<u16>,

    /// Visibility timeout asked for and renewed while a job runs, in seconds
    #[arg(long, env = "TRANSCRIPTION_VISIBILITY_SECS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(30..=43200), value_name = "SECS")]
    pub visibility_secs: u32,

    /// Longest wait of one receive, in seconds
    #[arg(long, env = "TRANSCRIPTION_POLL_SECS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=20), value_name = "SECS", hide_short_help = true)]
    pub poll_secs: u32,

    /// After SIGTERM jobs in flight may run on for so long, in seconds; keep it below systemd's TimeoutStopSec
    #[arg(long, env = "TRANSCRIPTION_DRAIN_SECS", default_value_t = 90, value_name = "SECS")]
    pub drain_secs: u32,

    /// Work is given back so long before a deadline, in seconds: time for one window and the release
    #[arg(long, env = "TRANSCRIPTION_DRAIN_MARGIN_SECS", default_value_t = 20, value_name = "SECS")]
    pub drain_margin_secs: u32,

    /// Seconds between two saves of a running job's checkpoint, from which the next worker goes on; 0 saves none
    #[arg(long, env = "TRANSCRIPTION_CHECKPOINT_SECS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=3600), value_name = "SECS")]
    pub checkpoint_secs: u32,

    /// Throttled or unreachable parts of AWS are waited for so long, in seconds, before a receive of the message is spent;
    /// then the worker counts as sick
    #[arg(long, env = "TRANSCRIPTION_OUTAGE_SECS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(0..=36000), value_name = "SECS", hide_short_help = true)]
    pub outage_secs: u32,

    /// Refusals of the queue, the output or the bus are believed after so many seconds: permissions take minutes to spread
    #[arg(long, env = "TRANSCRIPTION_REFUSAL_SECS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=3600), value_name = "SECS", hide_short_help = true)]
    pub refusal_secs: u32,

    /// An object may be missing for so long after its message was sent, in seconds
    #[arg(long, env = "TRANSCRIPTION_OBJECT_GRACE_SECS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(0..=36000), value_name = "SECS", hide_short_help = true)]
    pub object_grace_secs: u32,

    /// End after so many minutes without work; with `idle_terminates` the instance ends too
    #[arg(long, env = "TRANSCRIPTION_IDLE_MINUTES", value_parser = within(0.001..=1_000_000.0), value_name = "MINUTES")]
    pub idle_minutes: Option<f64>,

    /// Drain on a rebalance recommendation too, not only on an interruption notice
    #[arg(long, env = "TRANSCRIPTION_DRAIN_ON_REBALANCE", value_parser = FalseyValueParser::new())]
    pub drain_on_rebalance: bool,

    /// First back-off of a failed job, in seconds; doubles with each receive, with jitter
    #[arg(
        long,
        env = "TRANSCRIPTION_BACKOFF_SECS",
        default_value_t = 10.0,
        value_parser = within(0.0..=900.0),
        value_name = "SECS",
        hide_short_help = true
    )]
    pub backoff_secs: f64,

    /// Whether a job that workers died over runs alone, and is given up after several deaths; needs to write, read and
    /// remove objects beside the transcripts
    #[arg(long, env = "TRANSCRIPTION_POISON_GUARD", default_value = "on", value_parser = FalseyValueParser::new(), action = clap::ArgAction::Set, value_name = "on|off", hide_short_help = true)]
    pub poison_guard: bool,

    /// Seconds between two looks for a spot notice
    #[arg(long, env = "TRANSCRIPTION_SPOT_POLL_SECS", default_value_t = 5.0, value_parser = within(0.01..=60.0), value_name = "SECS", hide = true)]
    pub spot_poll_secs: f64,
}

impl DeliveryConfig {
    /// Jobs in flight.
    pub fn slots(&self, lanes: usize) -> usize {
        self.jobs.map_or(lanes + 1, usize::from)
    }

    /// Between two saves of a checkpoint; `None` saves none.
    pub fn checkpoint_every(&self) -> Option<Duration> {
        (self.checkpoint_secs > 0).then(|| Duration::from_secs(u64::from(self.checkpoint_secs)))
    }

    /// How long what fails may fail.
    pub fn patience(&self) -> Patience {
        Patience {
            outage: Duration::from_secs(u64::from(self.outage_secs)),
            refusal: Duration::from_secs(u64::from(self.refusal_secs)),
        }
    }

    /// Idle shutdown.
    pub fn idle_after(&self) -> Option<Duration> {
        self.idle_minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok())
    }
}
