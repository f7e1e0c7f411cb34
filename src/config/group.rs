//! The Auto Scaling group that the instance belongs to.

use clap::Args;
use clap::builder::FalseyValueParser;

/// The Auto Scaling group that the instance belongs to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Auto Scaling group")]
pub struct GroupConfig {
    /// Name of the group; the three others need it
    #[arg(long, env = "TRANSCRIPTION_SCALING_GROUP", value_name = "NAME")]
    pub scaling_group: Option<String>,

    /// Its lifecycle hook at the end of instances: kept waiting while the worker drains, and completed then
    #[arg(long, env = "TRANSCRIPTION_LIFECYCLE_HOOK", value_name = "NAME")]
    pub lifecycle_hook: Option<String>,

    /// Protect the instance from scale-in while the worker is busy
    #[arg(long, env = "TRANSCRIPTION_SCALE_IN_PROTECTION", value_parser = FalseyValueParser::new())]
    pub scale_in_protection: bool,

    /// After `idle_minutes` without work end the instance, and let the group want one less; where the group may not be
    /// smaller the worker goes on
    #[arg(long, env = "TRANSCRIPTION_IDLE_TERMINATES", value_parser = FalseyValueParser::new())]
    pub idle_terminates: bool,
}

impl GroupConfig {
    /// The group's name and its hook's; `None` where nothing is asked of a group.
    ///
    /// # Errors
    /// Something is asked of a group that is not named.
    pub fn named(&self) -> Result<Option<(&str, Option<&str>)>, String> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        if !(given(&self.lifecycle_hook) || self.scale_in_protection || self.idle_terminates) {
            return Ok(None);
        }
        match self.scaling_group.as_deref().map(str::trim).filter(|group| !group.is_empty()) {
            Some(group) => {
                let hook = self.lifecycle_hook.as_deref().map(str::trim).filter(|hook| !hook.is_empty());
                Ok(Some((group, hook)))
            }
            None => Err("no Auto Scaling group is named: set TRANSCRIPTION_SCALING_GROUP".to_owned()),
        }
    }
}
