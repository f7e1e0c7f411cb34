//! Whether the worker's own places can be used, asked before the first message is received: a job is not to be transcribed
//! for hours before its transcript turns out to have no place, or its event no bus.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::places::Places;
use crate::backoff::Backoff;
use crate::config::PlacesConfig;
use crate::exit::Trouble;
use crate::fault::{Code, Fault};
use crate::health::Patience;
use crate::objects::Location;

/// Between two tries.
const TRY_AGAIN: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(20) };

/// What can be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The event bus exists.
    Bus,
    /// Objects can be written, read and removed where transcripts go.
    Output,
}

impl Proof {
    /// Tries it once; a sentence on what was found.
    ///
    /// # Errors
    /// Permanent where the place refuses us or is not there.
    pub async fn attempt(self, places: &Places, config: &PlacesConfig, worker: &str) -> Result<String, Fault> {
        match self {
            Self::Bus => {
                let doubt = places.publisher.check().await?;
                doubt.iter().for_each(|doubt| warn!("{doubt}"));
                Ok(doubt.unwrap_or_else(|| format!("{} is there", config.event_bus)))
            }
            Self::Output => {
                let Some(bucket) = &config.output_bucket else {
                    return Ok("no output bucket: only jobs that name an s3_output_path can be done".to_owned());
                };
                let json = Location::new(bucket, format!("{}transcript.json", config.output_prefix));
                places.store(config).prove(&json, worker).await?;
                Ok(format!("s3://{bucket}/{} was written, read and removed", config.output_prefix))
            }
        }
    }
}

/// Proves both. What is throttled or away is waited for, as long as an outage may last; what refuses us for some minutes,
/// since a role that was attached a moment ago is refused too. What does not exist is believed at once.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn prove(places: &Places, config: &PlacesConfig, worker: &str, patience: Patience) -> Result<(), Trouble> {
    for proof in [Proof::Bus, Proof::Output] {
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            let fault = match proof.attempt(places, config, worker).await {
                Ok(_) => break,
                Err(fault) => fault,
            };
            let limit = match &fault {
                Fault::Permanent(problem) if problem.code == Code::AccessDenied => patience.refusal,
                Fault::Permanent(_) => Duration::ZERO,
                _ => patience.outage,
            };
            failures += 1;
            let wait = TRY_AGAIN.delay(failures);
            if begun.elapsed() + wait > limit {
                return Err(trouble(fault, proof));
            }
            warn!(%fault, retry_secs = wait.as_secs(), "not ready to receive");
            sleep(wait).await;
        }
    }
    Ok(())
}

/// What a fault of a place means for the worker.
pub fn trouble(fault: Fault, proof: Proof) -> Trouble {
    let cure = match proof {
        Proof::Bus => "set TRANSCRIPTION_EVENT_BUS to a bus that exists",
        Proof::Output => {
            "set TRANSCRIPTION_OUTPUT_BUCKET to a bucket that exists, and let the worker's role put, get and delete \
             objects there"
        }
    };
    match fault {
        Fault::Permanent(problem) => Trouble::Config(format!("{}: {cure}", problem.message)),
        other => Trouble::Unavailable(other.to_string()),
    }
}
