//! Every call into a port or the flow goes through here, so that a hang or a panic there is a fault, not the end.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::fault::{Code, Fault};

/// Runs `call`; a panic becomes a transient `Internal` fault that names `what`.
pub async fn caught<T>(what: &str, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    // the future is dropped after a panic, never polled again, so nothing half-changed is seen
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Fault::transient(Code::Internal, format!("bug: {what} panicked: {}", panic_text(panic.as_ref()))))
    })
}

/// Like `caught`, and gives up after `limit` with a transient `ServiceUnavailable`.
pub async fn bounded<T>(what: &str, limit: Duration, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(limit, caught(what, call)).await.unwrap_or_else(|_| {
        let text = format!("failed to {what}: no answer in {} s", limit.as_secs());
        Err(Fault::transient(Code::ServiceUnavailable, text))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
