//! AWS in memory, for the adapters' tests: answers as it is told, and remembers what it was asked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::config_for_endpoint;

/// One answer of a service.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    /// A refusal as S3 words it.
    pub fn s3_error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
    }

    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }
}

type Answers = dyn Fn(&HttpRequest) -> Answer + Send + Sync;

/// The services, and how they were asked. Clones are the same.
#[derive(Clone)]
pub struct FakeAws {
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<HttpRequest>>>,
    connectors: Arc<Mutex<HashSet<[Option<Duration>; 2]>>>,
}

impl FakeAws {
    pub fn new(answers: impl Fn(&HttpRequest) -> Answer + Send + Sync + 'static) -> Self {
        Self { answers: Arc::new(answers), asked: Arc::default(), connectors: Arc::default() }
    }

    /// Settings of clients that talk to it; they try once.
    pub fn config(&self) -> SdkConfig {
        let config = config_for_endpoint("http://aws.test", "100000000000").unwrap().into_builder();
        config.http_client(SharedHttpClient::new(self.clone())).retry_config(RetryConfig::disabled()).build()
    }

    /// The value of a header in each request so far.
    pub fn headers(&self, name: &str) -> Vec<Option<String>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| request.headers().get(name).map(str::to_owned)).collect()
    }

    /// The bodies of the requests so far.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| request.body().bytes().unwrap_or_default().to_vec()).collect()
    }

    /// The methods of the requests so far.
    pub fn methods(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|request| request.method().to_owned()).collect()
    }

    /// How many different pairs of connect and read time-out were asked for: the real client keeps a connector for each.
    pub fn connectors(&self) -> usize {
        self.connectors.lock().unwrap().len()
    }

    /// The longest read time-out that was asked for.
    pub fn longest_read(&self) -> Option<Duration> {
        self.connectors.lock().unwrap().iter().filter_map(|[_, read]| *read).max()
    }
}

impl HttpClient for FakeAws {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connectors.lock().unwrap().insert([settings.connect_timeout(), settings.read_timeout()]);
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FakeAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Answer { status, headers, body } = (self.answers)(&request);
        self.asked.lock().unwrap().push(request);
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeAws")
    }
}
