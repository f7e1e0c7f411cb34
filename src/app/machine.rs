//! The machine the daemon runs on: its names, the notices about its end, its Auto Scaling group.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::aws;
use crate::config::{DeliveryConfig, GroupConfig};
use crate::counts::Counts;
use crate::drain::{Drain, Reason};
use crate::exit::Trouble;
use crate::group::autoscaling::AutoScaling;
use crate::group::{self, Group, Leave};
use crate::spot::{self, Imds};
use crate::worker::IdleEnd;

/// What the machine is called where it is no instance.
const NO_TYPE: &str = "none";

/// The machine.
pub struct Machine {
    /// What transcripts and metrics call it: the instance's id, else the host's name.
    pub name: String,
    /// The kind of instance; `none` off EC2.
    pub kind: String,
    imds: Option<Imds>,
    is_instance: bool,
}

/// What is asked of the machine's group.
pub struct Membership {
    group: Arc<dyn Group>,
    hook: bool,
    protect: bool,
    terminate: bool,
}

impl Machine {
    /// Asks the metadata service, unless the work is a folder's.
    pub async fn look(of_folder: bool) -> Self {
        let imds = if of_folder { None } else { Imds::new(None) };
        let (id, kind) = match &imds {
            Some(imds) => tokio::join!(imds.instance_id(), imds.instance_type()),
            None => (None, None),
        };
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            is_instance: id.is_some(),
            name: id.unwrap_or_else(host),
            kind: kind.unwrap_or_else(|| NO_TYPE.to_owned()),
            imds,
        }
    }

    /// Watches for notices.
    pub fn watch(&self, background: &mut JoinSet<()>, delivery: &DeliveryConfig, drain: &Drain, counts: &Arc<Counts>) {
        let Some(imds) = self.imds.clone() else { return };
        let settings = spot::Settings {
            poll_every: Duration::from_secs_f64(delivery.spot_poll_secs.max(0.05)),
            act_on_rebalance: delivery.drain_on_rebalance,
        };
        background.spawn(spot::watch(imds, drain.clone(), settings, counts.clone()));
    }

    /// The group, as far as anything is asked of it.
    ///
    /// # Errors
    /// It is not named, or this machine is no instance.
    pub async fn membership(&self, config: &GroupConfig) -> Result<Option<Membership>, Trouble> {
        let Some((name, hook)) = config.named().map_err(Trouble::Config)? else { return Ok(None) };
        if !self.is_instance {
            let what = format!(
                "nothing can be asked of Auto Scaling group {name}: no metadata service says which instance this is"
            );
            return Err(Trouble::Unavailable(what));
        }
        let sdk = aws::sdk_config().await.map_err(Trouble::Config)?;
        let client = aws_sdk_autoscaling::Client::new(&sdk);
        let group = AutoScaling::new(client, name, hook.map(str::to_owned), &self.name);
        Ok(Some(Membership {
            group: Arc::new(group),
            hook: hook.is_some(),
            protect: config.scale_in_protection,
            terminate: config.idle_terminates,
        }))
    }
}

impl Membership {
    /// Does what is to be done while the worker runs.
    pub fn attend(&self, background: &mut JoinSet<()>, drain: &Drain, counts: &Arc<Counts>) {
        if self.protect {
            background.spawn(group::protect_while_busy(self.group.clone(), counts.clone()));
        }
        if self.hook {
            background.spawn(group::keep_waiting(self.group.clone(), drain.clone()));
        }
    }

    /// Who is asked before an idle worker ends.
    pub fn idle_end(&self) -> Option<Arc<dyn IdleEnd>> {
        self.terminate.then(|| -> Arc<dyn IdleEnd> { Arc::new(Leave(self.group.clone())) })
    }

    /// The worker stops, for this reason: an instance that the group takes away may go, and any other is not kept for a
    /// worker that is no more.
    pub async fn stopped(&self, reason: Option<Reason>) {
        if reason == Some(Reason::ScaleIn) && self.hook {
            group::let_go(&*self.group).await;
        } else if reason != Some(Reason::ScaleIn) && self.protect {
            group::unprotect(&*self.group).await;
        }
    }

    /// The worker ends for want of work, and the instance with it where that was asked for.
    pub async fn idle(&self) {
        self.stopped(self.terminate.then_some(Reason::ScaleIn)).await;
    }
}
