//! What S3 is asked, and what its answers mean.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::app::aws::fake::{Answer, FakeAws};
use crate::app::aws::s3_client;

fn objects(aws: &FakeAws) -> S3Objects {
    S3Objects::new(s3_client(&aws.config()), None)
}

#[tokio::test]
async fn uploads_of_many_sizes_share_a_handful_of_connectors() {
    let aws = FakeAws::new(|_| Answer::new(200, "").with("etag", "\"e\""));
    let objects = objects(&aws);
    let whole = Bytes::from(vec![b'x'; 40 << 20]);
    for size in (0..200).map(|n| n * n * 1_000 + n) {
        let at = Location::new("b", format!("{size}.txt"));
        objects.put(&at, whole.slice(..size), "text/plain", &Condition::Always).await.unwrap();
    }
    assert!(aws.connectors() <= 7, "{} connectors", aws.connectors());
    // 39,601,199 bytes at 64 KiB a second, and the SDK's own 30 s
    assert!(aws.longest_read().unwrap() >= Duration::from_secs(604 + 30), "{:?}", aws.longest_read());
}
