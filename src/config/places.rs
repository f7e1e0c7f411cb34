//! Where work comes from and goes to.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::within;
use crate::job::Format;
use crate::job::allow::{AllowList, OutputPrefix};

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

    /// Whether "Transcription Started" is published when work on a job begins
    #[arg(long, env = "TRANSCRIPTION_STARTED_EVENTS", default_value = "on", value_parser = FalseyValueParser::new(), action = clap::ArgAction::Set, value_name = "on|off", hide_short_help = true)]
    pub started_events: bool,

    /// Publish "Transcription Progress" each time that a job came so many percent further; 0 never
    #[arg(long, env = "TRANSCRIPTION_PROGRESS_PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=50), value_name = "PERCENT", hide_short_help = true)]
    pub progress_percent: u8,

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
