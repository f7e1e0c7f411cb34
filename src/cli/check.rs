//! `check`: is this worker's configuration sound?

use crate::app::checkup::{self, Finding};
use crate::config::RunConfig;
use crate::exit;

/// Prints one line per thing checked, as soon as it is known. 78 when a setting is wrong, 69 when something does not answer.
pub async fn main(config: RunConfig) -> u8 {
    let mut status = exit::OK;
    let tell = |finding: Finding| match &finding.result {
        Ok(detail) => println!("ok    {:<12} {detail}", finding.what),
        Err(trouble) => {
            println!("FAIL  {:<12} {}", finding.what, trouble.message());
            status = status.max(trouble.status());
        }
    };
    checkup::check(&config, tell).await;
    status
}
