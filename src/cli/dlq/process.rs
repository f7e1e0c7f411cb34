//! `dlq process`: what is to be done with dead letters without a person, and what only a person can do told to one.

use super::sentence;
use crate::app::letters::{self, Processing};
use crate::cli::complain;
use crate::exit;
use crate::letters::process::{Done, Processor};
use crate::queue::dead_letters::DeadLetter;

/// Arguments of `dlq process`.
#[derive(Debug, clap::Args)]
pub struct ProcessArgs {
    /// Where letters are kept that are not sent again: `s3://bucket/folder/`
    #[arg(long, env = "TRANSCRIPTION_DLQ_ARCHIVE", value_name = "S3_URI")]
    pub archive: String,

    /// ARN of an SNS topic that is told of letters that need a person [default: nobody is told]
    #[arg(long, env = "TRANSCRIPTION_ALERT_TOPIC", value_name = "ARN")]
    pub alert_topic: Option<String>,

    /// Name or ARN of the bus that events are published on again
    #[arg(long, env = "TRANSCRIPTION_EVENT_BUS", default_value = "default", value_name = "BUS")]
    pub event_bus: String,

    /// A letter that may pass is sent again so often
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub tries: u32,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Processes the letters, one after the other: those of a FIFO queue's group keep their order.
pub async fn run(processor: Processor, taken: Vec<DeadLetter>, dry_run: bool) -> u8 {
    let mut worst = exit::OK;
    for dead in &taken {
        let status = if dry_run { plan(&processor, dead).await } else { process(&processor, dead).await };
        worst = worst.max(status);
    }
    worst
}

async fn process(processor: &Processor, dead: &DeadLetter) -> u8 {
    let (jobs, code) = (dead.job_ids().join(","), dead.code());
    match processor.process(dead, jiff::Timestamp::now()).await {
        Ok(Done::Republished(number)) => println!("republished {jobs} {code}: try {number} of {}", processor.tries),
        Ok(Done::Archived(at, told)) => println!("archived {jobs} {code}: {at}{}", if told { ", alerted" } else { "" }),
        Err(fault) => {
            processor.letters.release([dead]).await;
            return complain(&sentence(fault), exit::FAILED);
        }
    }
    exit::OK
}

async fn plan(processor: &Processor, dead: &DeadLetter) -> u8 {
    let planned = processor.plan(dead).await;
    processor.letters.release([dead]).await;
    match planned {
        Ok((letter, next)) => {
            let what = next.map_or_else(|| "archive".to_owned(), |number| format!("republish (try {number})"));
            println!("would {what} {} {} {}: {}", letter.class, letter.id, letter.code, letter.reason);
            exit::OK
        }
        Err(fault) => complain(&sentence(fault), exit::FAILED),
    }
}

/// The processor that these arguments ask for.
///
/// # Errors
/// A sentence: the archive is no S3 URI, or a queue is not there.
pub async fn open(args: &ProcessArgs, jobs_url: Option<&str>, dead_url: Option<&str>) -> Result<Processor, String> {
    let processing = Processing {
        archive: &args.archive,
        alert_topic: args.alert_topic.as_deref(),
        event_bus: &args.event_bus,
        tries: args.tries,
    };
    letters::processor(processing, jobs_url, dead_url).await
}
