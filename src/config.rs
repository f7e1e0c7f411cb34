//! Every setting: flag, environment name, unit, default, range. Nothing is opened here.

use std::ops::RangeInclusive;

use clap::Args;

mod delivery;
mod engine;
mod group;
mod places;
mod watch;

pub use delivery::DeliveryConfig;
pub use engine::{Device, EngineConfig};
pub use group::GroupConfig;
pub use places::PlacesConfig;
pub use watch::{Emf, WatchConfig};

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
    #[command(flatten)]
    /// Who watches the worker, and how.
    pub watch: WatchConfig,
    #[command(flatten)]
    /// The Auto Scaling group that the instance belongs to.
    pub group: GroupConfig,
}

/// Parses a number within `range`. What becomes a duration or a size must be neither infinite nor "not a number".
fn within(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("it must be a number from {} to {}", range.start(), range.end())),
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
        assert_eq!(switches.len(), 6, "{switches:?}");
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
