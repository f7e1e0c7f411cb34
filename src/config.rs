//! Every setting: flag, environment name, unit, default, range. Nothing is opened here.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::health::Patience;
use crate::job::allow::{AllowList, OutputPrefix};
use crate::job::{Channels, Format, Task};

/// Where the engine runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The GPU if this build has CUDA, else the CPU
    #[default]
    Auto,
    /// The CPU
    Cpu,
    /// The GPU
    Cuda,
}

/// How audio is transcribed: the same for the worker, `transcribe` and `bench`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Transcription")]
pub struct EngineConfig {
    /// Model: a name of `model list` that was pulled, or the path of a ggml file
    #[arg(long, env = "TRANSCRIPTION_MODEL", default_value = "tiny.en", value_name = "NAME|PATH")]
    pub model: String,

    /// Where models are kept [default: ./models if it exists, else the user's data directory]
    #[arg(long, env = "TRANSCRIPTION_MODELS_DIR", value_name = "DIR")]
    pub models_dir: Option<PathBuf>,

    /// Spoken language: a code such as `en`, or `auto` to detect it once per job
    #[arg(long, env = "TRANSCRIPTION_LANGUAGE", default_value = "auto")]
    pub language: String,

    /// Transcribe, or translate to English (multilingual models only)
    #[arg(long, env = "TRANSCRIPTION_TASK", value_enum, default_value_t)]
    pub task: Task,

    /// Words to expect: names, spelling, style
    #[arg(long, env = "TRANSCRIPTION_PROMPT", value_name = "TEXT")]
    pub prompt: Option<String>,

    /// Times for each word in the JSON
    #[arg(long, env = "TRANSCRIPTION_WORD_TIMESTAMPS", value_parser = FalseyValueParser::new())]
    pub word_timestamps: bool,

    /// Mix all channels, or transcribe each by itself
    #[arg(long, env = "TRANSCRIPTION_CHANNELS", value_enum, default_value_t)]
    pub channels: Channels,

    /// Where the engine runs
    #[arg(long, env = "TRANSCRIPTION_DEVICE", value_enum, default_value_t)]
    pub device: Device,

    /// Indices of the GPUs to use, one engine process each
    #[arg(long, env = "TRANSCRIPTION_GPUS", value_delimiter = ',', default_value = "0", value_name = "N,…")]
    pub gpus: Vec<u8>,

    /// Windows transcribed at a time by each engine; `bench` takes several [default: one per core, 4 on a GPU]
    #[arg(long, env = "TRANSCRIPTION_LANES", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=32), value_name = "N")]
    pub lanes: Vec<u8>,

    /// Threads in each lane; lanes x threads beyond the cores make everything slower
    #[arg(long, env = "TRANSCRIPTION_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub threads: u8,

    /// Beam width; 1 is greedy with temperature fallback
    #[arg(long, env = "TRANSCRIPTION_BEAM_SIZE", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8), value_name = "N")]
    pub beam_size: u8,

    /// An answer may take this long, in seconds, and `engine_timeout_factor` times the window's length on top
    #[arg(
        long,
        env = "TRANSCRIPTION_ENGINE_TIMEOUT_BASE_SECS",
        default_value_t = 60,
        value_name = "SECS",
        hide = true
    )]
    pub engine_timeout_base_secs: u32,

    /// An answer may take 60 s and this many times the window's length before the engine counts as hung; 30 s is the length
    /// of all windows on a GPU and with beam search
    #[arg(
        long,
        env = "TRANSCRIPTION_ENGINE_TIMEOUT_FACTOR",
        default_value_t = 8.0,
        value_parser = within(0.0..=1000.0),
        value_name = "X",
        hide_short_help = true
    )]
    pub engine_timeout_factor: f64,

    /// A new engine process after so many windows, against leaks
    #[arg(
        long,
        env = "TRANSCRIPTION_ENGINE_RECYCLE_WINDOWS",
        default_value_t = 20_000,
        value_name = "N",
        hide_short_help = true
    )]
    pub engine_recycle_windows: u64,

    /// Another program in the engine's place (tests)
    #[arg(long, env = "TRANSCRIPTION_ENGINE_COMMAND", hide = true)]
    pub engine_command: Option<PathBuf>,

    /// Whether ffmpeg may read what the built-in decoders cannot
    #[arg(
        long,
        env = "TRANSCRIPTION_FFMPEG",
        default_value = "ffmpeg",
        value_name = "PROGRAM|off",
        hide_short_help = true
    )]
    pub ffmpeg: String,

    /// Longest audio taken, in hours
    #[arg(long, env = "TRANSCRIPTION_MAX_DURATION_HOURS", default_value_t = 24.0, value_parser = within(0.001..=10_000.0), value_name = "HOURS")]
    pub max_duration_hours: f64,
}

/// The worker.
#[derive(Debug, Clone, Args)]
pub struct RunConfig {
    #[command(flatten)]
    /// How audio is transcribed.
    pub engine: EngineConfig,
    #[command(flatten)]
    /// Where work comes from and goes to.
    pub places: PlacesConfig,
    #[command(flatten)]
    /// How messages are handled.
    pub delivery: DeliveryConfig,
}

/// Where work comes from and goes to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Places")]
pub struct PlacesConfig {
    /// URL of the SQS queue that jobs come from
    #[arg(
        long,
        env = "TRANSCRIPTION_QUEUE_URL",
        value_name = "URL",
        conflicts_with = "folder",
        required_unless_present = "folder"
    )]
    pub queue_url: Option<String>,

    /// Bucket for transcripts; without it only jobs that name an `s3_output_path` can be done
    #[arg(long, env = "TRANSCRIPTION_OUTPUT_BUCKET", value_name = "BUCKET")]
    pub output_bucket: Option<String>,

    /// Put before each transcript's key, such as `transcripts/`
    #[arg(
        long,
        env = "TRANSCRIPTION_OUTPUT_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_name = "PREFIX"
    )]
    pub output_prefix: String,

    /// Buckets that jobs may read from, `*` at the end stands for any ending [default: all]
    #[arg(long, env = "TRANSCRIPTION_ALLOW_INPUT_BUCKETS", value_delimiter = ',', value_name = "BUCKET,…")]
    pub allow_input_buckets: Vec<String>,

    /// Where jobs that name their own `s3_output_path` may write: `s3://bucket/folder/` [default: anywhere]
    #[arg(long, env = "TRANSCRIPTION_ALLOW_OUTPUT_PREFIXES", value_delimiter = ',', value_name = "S3_URI,…")]
    pub allow_output_prefixes: Vec<String>,

    /// KMS key that encrypts the transcripts (SSE-KMS)
    #[arg(long, env = "TRANSCRIPTION_KMS_KEY_ID", value_name = "KEY")]
    pub kms_key_id: Option<String>,

    /// Name or ARN of the event bus that "Transcription Completed" is published on
    #[arg(long, env = "TRANSCRIPTION_EVENT_BUS", default_value = "default", value_name = "BUS")]
    pub event_bus: String,

    /// What to write beside json and txt
    #[arg(
        long,
        env = "TRANSCRIPTION_FORMATS",
        value_enum,
        value_delimiter = ',',
        default_value = "json,txt,srt,vtt",
        value_name = "FORMAT,…"
    )]
    pub formats: Vec<Format>,

    /// Work on a folder instead of AWS: inbox/ is the queue, outbox/ the bucket, events.jsonl the bus
    #[arg(long, env = "TRANSCRIPTION_FOLDER", value_name = "DIR")]
    pub folder: Option<PathBuf>,

    /// With --folder: end when the inbox is empty
    #[arg(long, requires = "folder")]
    pub until_empty: bool,

    /// Where downloads lie meanwhile: the instance store
    #[arg(long, env = "TRANSCRIPTION_SCRATCH_DIR", value_name = "DIR")]
    pub scratch_dir: Option<PathBuf>,

    /// Largest object taken, in GiB
    #[arg(long, env = "TRANSCRIPTION_MAX_OBJECT_GIB", default_value_t = 20.0, value_parser = within(0.001..=100_000.0), value_name = "GIB")]
    pub max_object_gib: f64,
}

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

    /// End after so many minutes without work
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

/// Parses a number within `range`. What becomes a duration or a size must be neither infinite nor "not a number".
fn within(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("it must be a number from {} to {}", range.start(), range.end())),
    }
}

impl EngineConfig {
    /// Language of the windows, checked; `None` detects it.
    ///
    /// # Errors
    /// Not a language Whisper knows.
    pub fn language_code(&self) -> Result<Option<String>, String> {
        if self.language == "auto" {
            return Ok(None);
        }
        let code = crate::job::language::code(&self.language);
        code.map(|code| Some(code.to_owned()))
            .ok_or_else(|| format!("--language {}: not a language Whisper knows", self.language))
    }
}

impl PlacesConfig {
    /// The places that jobs may name.
    ///
    /// # Errors
    /// An output prefix is no S3 URI.
    pub fn allow_list(&self) -> Result<AllowList, String> {
        // an empty variable is one empty name, which means no list
        let named = |list: &[String]| list.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>();
        let prefix = |uri: &String| {
            OutputPrefix::parse(uri).map_err(|why| format!("TRANSCRIPTION_ALLOW_OUTPUT_PREFIXES: {uri}: {why}"))
        };
        Ok(AllowList {
            input_buckets: named(&self.allow_input_buckets),
            output_prefixes: named(&self.allow_output_prefixes).iter().map(prefix).collect::<Result<_, _>>()?,
        })
    }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::any::TypeId;

    use clap::{Arg, Command};

    use super::*;

    /// The program with one setting only, which has no environment and no default: the same parser reads all three.
    fn only(arg: &Arg) -> Command {
        let arg = arg.clone().env(None).required(false).required_unless_present_any(None::<&str>);
        Command::new("worker").arg(arg)
    }

    fn settings(is_meant: impl Fn(&Arg) -> bool) -> Vec<Arg> {
        let command = RunConfig::augment_args(Command::new("worker"));
        command.get_arguments().filter(|arg| is_meant(arg)).cloned().collect()
    }

    #[test]
    fn every_switch_of_the_environment_takes_the_words_for_yes_and_no() {
        let is_switch = |arg: &Arg| arg.get_value_parser().type_id() == TypeId::of::<bool>() && arg.get_env().is_some();
        let switches = settings(is_switch);
        assert_eq!(switches.len(), 3, "{switches:?}");
        for switch in switches {
            let id = switch.get_id().to_string();
            for (word, on) in [
                ("1", true),
                ("yes", true),
                ("on", true),
                ("TRUE", true),
                ("0", false),
                ("no", false),
                ("off", false),
                ("False", false),
                ("", false),
            ] {
                // a default goes the way of a variable
                let command = only(&switch.clone().default_value(word));
                let matches = command.try_get_matches_from(["worker"]).unwrap();
                assert_eq!(matches.get_one::<bool>(&id), Some(&on), "{id}={word}");
            }
            if !switch.get_action().takes_values() {
                let flag = format!("--{}", switch.get_long().unwrap());
                let matches = only(&switch).try_get_matches_from(["worker".to_owned(), flag]).unwrap();
                assert!(matches.get_flag(&id), "{id} as a bare flag");
            }
        }
    }

    #[test]
    fn no_number_is_endless_negative_or_none() {
        let numbers = settings(|arg| arg.get_value_parser().type_id() == TypeId::of::<f64>());
        assert_eq!(numbers.len(), 6, "{numbers:?}");
        for number in numbers {
            let read = |text: &str| {
                only(&number)
                    .try_get_matches_from(["worker".to_owned(), format!("--{}={text}", number.get_long().unwrap())])
            };
            for text in ["nan", "inf", "-inf", "-1", "1e300", "", "ten"] {
                assert!(read(text).is_err(), "{}={text}", number.get_id());
            }
            assert!(read(" 0.5 ").is_ok(), "{}", number.get_id());
        }
    }
}
