//! The instance's own metadata: notices that EC2 will take it away, and its id. No answer of the metadata service can
//! end the process, a notice aside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::client::{Builder, Client};
use aws_config::provider_config::ProviderConfig;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use crate::counts::Counts;
use crate::drain::{Drain, Reason};

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const INSTANCE_TYPE: &str = "/latest/meta-data/instance-type";
const INSTANCE_ACTION: &str = "/latest/meta-data/spot/instance-action";
const LIFECYCLE_STATE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";

/// What EC2 gives between the notice and the end; also the most we believe, for a garbled or skewed time must not make
/// the worker miss it.
const NOTICE: Duration = Duration::from_secs(120);
/// One request with the client's retries; three of them must fit well into a notice.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);
/// Tries of the client within a request; the next poll is a retry anyway.
const ATTEMPTS: u32 = 2;
/// How often the service is asked whether it is there; the network may be a moment late at boot.
const PROBES: u32 = 3;
/// On EC2 it is asked again so often, for the network may come later still.
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// What the firmware says of the machine.
const DMI: &str = "/sys/class/dmi/id";

/// What the watcher does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How often to look; EC2 recommends 5 s.
    pub poll_every: Duration,
    /// Stop on a rebalance recommendation too. Most recommendations are not followed by an interruption.
    pub act_on_rebalance: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { poll_every: Duration::from_secs(5), act_on_rebalance: false }
    }
}

/// A client of the metadata service, IMDSv2 only. It keeps the token it was given.
#[derive(Debug, Clone)]
pub struct Imds {
    builder: Builder,
    client: Client,
    dmi: PathBuf,
    probe_every: Duration,
}

impl Imds {
    /// `None` where `AWS_EC2_METADATA_DISABLED` is `true`. Without an `endpoint`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`
    /// counts, else the link-local address.
    pub fn new(endpoint: Option<&str>) -> Option<Self> {
        if is_disabled(std::env::var("AWS_EC2_METADATA_DISABLED").ok().as_deref()) {
            return None;
        }
        // plain HTTP is all the service speaks, and a client without TLS starts where no CA certificates are installed
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = ProviderConfig::without_region().with_http_client(http);
        let builder = Client::builder().configure(&config).max_attempts(ATTEMPTS);
        let builder = match endpoint.map(|endpoint| builder.clone().endpoint(endpoint)) {
            None => builder,
            Some(Ok(builder)) => builder,
            Some(Err(error)) => {
                warn!(%error, "the endpoint of the instance metadata service is not a URL: it is not used");
                return None;
            }
        };
        Some(Self { client: builder.clone().build(), builder, dmi: DMI.into(), probe_every: PROBE_EVERY })
    }

    /// The instance's id; `None` off EC2 or when the service takes longer than a second.
    pub async fn instance_id(&self) -> Option<String> {
        self.text(INSTANCE_ID).await
    }

    /// The kind of instance, such as `g6.xlarge`; `None` likewise.
    pub async fn instance_type(&self) -> Option<String> {
        self.text(INSTANCE_TYPE).await
    }

    async fn text(&self, path: &'static str) -> Option<String> {
        let answer = timeout(Duration::from_secs(1), self.client.get(path)).await.ok()?.ok()?;
        let text = answer.as_ref().trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Any HTTP answer, an error too, means that there is a metadata service.
    async fn is_there(&self) -> bool {
        for _ in 0..PROBES {
            match timeout(REQUEST_LIMIT, self.client.get(INSTANCE_ID)).await {
                Ok(Ok(_) | Err(ImdsError::ErrorResponse(_))) => return true,
                Ok(Err(ImdsError::FailedToLoadToken(error))) if !error.is_dispatch_failure() => return true,
                Ok(Err(error)) => debug!(%error, "the instance metadata service does not answer"),
                Err(_) => debug!("the instance metadata service does not answer in time"),
            }
            sleep(Duration::from_millis(500)).await;
        }
        false
    }

    /// Whether the machine says of itself that it is an instance, which a metadata service out of reach cannot.
    fn is_on_ec2(&self) -> bool {
        let says = |file| std::fs::read_to_string(self.dmi.join(file)).unwrap_or_default().to_ascii_lowercase();
        says("board_asset_tag").starts_with("i-")
            || says("sys_vendor").contains("amazon ec2")
            // of families that run on Xen
            || says("bios_version").contains("amazon")
    }

    /// The body at `path`, `None` for a 404; an error says what is wrong with the service.
    async fn get(&mut self, path: &'static str) -> Result<Option<String>, String> {
        let problem = match timeout(REQUEST_LIMIT, self.client.get(path)).await {
            Ok(Ok(body)) => return Ok(Some(body.into())),
            // its own text holds the whole response, headers and all
            Ok(Err(ImdsError::ErrorResponse(error))) => match error.response().status().as_u16() {
                404 => return Ok(None),
                status => format!("HTTP status {status}"),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", REQUEST_LIMIT.as_secs()),
        };
        // a client keeps its token for six hours, whatever the service thinks of it: only a new client asks for a new one
        self.client = self.builder.clone().build();
        Err(problem)
    }
}

fn is_disabled(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Watches for notices and begins `drain` on them. Returns at once off EC2, else only when the interruption is certain; on
/// an instance whose metadata service does not answer it asks again each minute.
///
/// | notice | what happens |
/// |---|---|
/// | `spot/instance-action` | a stop with its `time` as deadline; a hibernation gives no time at all |
/// | target lifecycle state `Terminated` | a stop like SIGTERM |
/// | rebalance recommendation | logged and counted once; a stop like SIGTERM if so configured |
pub async fn watch(imds: Imds, drain: Drain, settings: Settings, counts: Arc<Counts>) {
    let mut missed = false;
    while !imds.is_there().await {
        if !imds.is_on_ec2() {
            info!("no instance metadata service: not on EC2, so no spot notices are watched for");
            return;
        }
        if !missed {
            warn!(
                "the instance metadata service does not answer: no spot notice is seen until it does (in a container the \
                 instance's hop limit must be 2)"
            );
        }
        missed = true;
        sleep(imds.probe_every).await;
    }
    if missed {
        info!("the instance metadata service answers now: spot notices are watched for");
    }
    let mut watcher = Watcher { imds, drain, settings, counts, silent: false, scale_in: false, rebalance: false };
    let mut ticks = interval(settings.poll_every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !watcher.is_interrupted().await {
        watcher.look_for_scale_in().await;
        watcher.look_for_rebalance().await;
        ticks.tick().await;
    }
}

struct Watcher {
    imds: Imds,
    drain: Drain,
    settings: Settings,
    counts: Arc<Counts>,
    /// The service failed when it was last asked: said once, not every five seconds.
    silent: bool,
    scale_in: bool,
    rebalance: bool,
}

/// `spot/instance-action`. Only the action is needed: an unreadable time must not make us miss it.
#[derive(Debug, Deserialize)]
struct InstanceAction {
    action: String,
    #[serde(default)]
    time: serde_json::Value,
}

impl Watcher {
    async fn is_interrupted(&mut self) -> bool {
        let Some(body) = self.get(INSTANCE_ACTION).await else { return false };
        let Some(deadline) = deadline_of(&body, Timestamp::now(), Instant::now()) else {
            debug!(path = INSTANCE_ACTION, "not a notice that can be read: ignored");
            return false;
        };
        self.counts.interruptions.add();
        self.drain.begin(Reason::SpotInterruption, deadline);
        true
    }

    async fn look_for_scale_in(&mut self) {
        if self.scale_in {
            return;
        }
        let state = self.get(LIFECYCLE_STATE).await;
        if matches!(state.as_deref().map(str::trim), Some("Terminated" | "Warmed:Terminated")) {
            self.scale_in = true;
            self.drain.begin_gracefully(Reason::ScaleIn);
        }
    }

    async fn look_for_rebalance(&mut self) {
        if self.rebalance || self.get(REBALANCE).await.is_none() {
            return;
        }
        self.rebalance = true;
        self.counts.rebalances.add();
        info!(acted_on = self.settings.act_on_rebalance, "EC2 recommends to rebalance: an interruption is more likely");
        if self.settings.act_on_rebalance {
            self.drain.begin_gracefully(Reason::Rebalance);
        }
    }

    /// The body at `path`; `None` when there is none (404, no notice) or the service fails, which is never more than a
    /// line in the log.
    async fn get(&mut self, path: &'static str) -> Option<String> {
        let problem = match self.imds.get(path).await {
            Ok(body) => {
                self.silent = false;
                return body;
            }
            Err(problem) => problem,
        };
        if !self.silent {
            warn!(path, problem, "the instance metadata service fails: spot notices may be missed until it recovers");
        }
        self.silent = true;
        None
    }
}

/// When the instance goes, by a notice's body; `None` when the body is not a notice.
fn deadline_of(body: &str, now: Timestamp, instant: Instant) -> Option<Instant> {
    let notice: InstanceAction = serde_json::from_str(body).ok()?;
    let left = match notice.action.as_str() {
        // begins with the notice, not after it
        "hibernate" => Duration::ZERO,
        "terminate" | "stop" => {
            let time = notice.time.as_str().and_then(|time| time.parse::<Timestamp>().ok());
            let left = time.map(|time| Duration::try_from(time.duration_since(now)).unwrap_or_default());
            left.map_or(NOTICE, |left| left.min(NOTICE))
        }
        _ => return None,
    };
    Some(instant + left)
}
