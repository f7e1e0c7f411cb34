//! `run`: the daemon.

use super::complain;
use crate::app::daemon;
use crate::config::RunConfig;
use crate::exit;

/// Runs the worker until it is drained; see [`crate::exit::Trouble`] for the statuses.
pub async fn main(config: RunConfig) -> u8 {
    match daemon::run(config).await {
        Ok(()) => exit::OK,
        Err(trouble) => {
            tracing::error!("{}", trouble.message());
            complain(trouble.message(), trouble.status())
        }
    }
}
