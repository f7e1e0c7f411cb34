//! How this program talks to AWS: credentials, region, HTTPS, retries and time-outs, the same for every service.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

#[cfg(test)]
pub(crate) mod fake;

/// Attempts of one request, the first included; what still fails is a transient fault and waits for redelivery.
const ATTEMPTS: u32 = 4;
/// A healthy endpoint answers the handshake in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To the first byte of an answer: above the 20 s of a long poll. No time-out spans a whole operation, so that a
/// large object may take as long as it flows; the SDK's own guard ends streams that stall.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The region of a local stand-in for AWS, which has none of its own.
const LOCAL_REGION: &str = "us-east-1";
/// Points every service at one endpoint, such as a local stand-in.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// The same, for S3 alone.
const S3_ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";

/// The SDK's settings from the environment, the profile files and the instance's metadata.
///
/// # Errors
/// A sentence saying what to install or set: no CA certificates, or no region.
pub async fn sdk_config() -> Result<SdkConfig, String> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https_client()?)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts());
    if is_set(ENDPOINT) {
        // without the metadata service, which costs seconds where there is none
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(LOCAL_REGION));
        loader = loader.region(region);
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err("no AWS region is configured: set AWS_REGION, such as AWS_REGION=eu-central-1".to_owned());
    }
    Ok(config)
}

/// The settings for one endpoint with a fixed access key, whatever the environment says: what tests need.
///
/// # Errors
/// No CA certificates are installed.
pub fn config_for_endpoint(endpoint: &str, access_key: &str) -> Result<SdkConfig, String> {
    let credentials = Credentials::new(access_key, "secret", None, None, "fixed");
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(https_client()?)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts())
        .region(Region::new(LOCAL_REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build())
}

/// An S3 client; with an endpoint of its own, buckets are part of the path, because `bucket.localhost` does not resolve.
pub fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = config.endpoint_url().is_some() || is_set(ENDPOINT) || is_set(S3_ENDPOINT);
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build())
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()
}

fn https_client() -> Result<SharedHttpClient, String> {
    // the client panics at its first request without any, even for http:// endpoints
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err("no CA certificates were found: install ca-certificates, or set SSL_CERT_FILE".to_owned());
    }
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_quiet_long_poll_is_not_cut_and_no_time_out_spans_a_stream() {
        let config = config_for_endpoint("http://127.0.0.1:1", "000000000001").unwrap();
        let timeouts = config.timeout_config().unwrap();
        assert!(timeouts.read_timeout().unwrap() > Duration::from_secs(20));
        assert_eq!((timeouts.operation_timeout(), timeouts.operation_attempt_timeout()), (None, None));
    }
}
