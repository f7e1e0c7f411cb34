//! The worker as a person or a probe on this machine sees it, over HTTP on loopback.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200, and 503 once the worker is sick |
//! | `/readyz` | 200 while it takes jobs, 503 while it loads, drains or is sick |
//! | `/metrics` | Prometheus' text format |
//! | `/status` | JSON: what it is at, jobs with their progress, engines, failures |
//! | `/` | the same as a page |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metrics::prometheus;
use crate::status::{Phase, Status};

mod page;
#[cfg(test)]
mod tests;

/// Who looks at the same time; more wait.
const MOST_CONNECTIONS: usize = 32;
/// A connection is not kept for longer: probes open new ones.
const CONNECTION_LIMIT: Duration = Duration::from_secs(60);
/// What a client gets for its request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// After a failed accept: the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The page is ours alone: nothing from elsewhere, no scripts, in nobody's frame.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Opens the port.
///
/// # Errors
/// A sentence: the address is not one of loopback, or cannot be had.
pub async fn open(address: SocketAddr) -> Result<TcpListener, String> {
    if !address.ip().is_loopback() {
        return Err(format!("--http {address}: only loopback is listened on, such as 127.0.0.1:9477"));
    }
    TcpListener::bind(address).await.map_err(|e| format!("failed to listen on {address}: {e}"))
}

/// Answers for as long as it is polled.
pub async fn serve(listener: TcpListener, status: Status) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // in a set, so that connections end with this function
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // never closed
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = status.clone();
                connections.spawn(async move {
                    let _place = place;
                    connection(stream, status).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a look at the worker's status is not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, status: Status) {
    let answer = service_fn(move |request| {
        let status = status.clone();
        // what is read of disk and driver may take its time, and must not hold up the work
        async move {
            let answered = tokio::task::spawn_blocking(move || answer(&request, &status)).await;
            Ok::<_, Infallible>(answered.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "bug\n")))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), answer);
    // a client that goes away is no trouble
    let _ = timeout(CONNECTION_LIMIT, serving).await;
}

/// The answer to one request; its body is not read.
fn answer(request: &Request<Incoming>, status: &Status) -> Response<Full<Bytes>> {
    if !is_local(request.headers().get(HOST)) {
        return text(StatusCode::FORBIDDEN, "this is for visitors of localhost\n");
    }
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => look(request.uri().path(), status),
        _ => {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "there is nothing to be done here\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn look(path: &str, status: &Status) -> Response<Full<Bytes>> {
    match path {
        "/" => body(StatusCode::OK, "text/html; charset=utf-8", page::render(&status.view())),
        "/style.css" => body(StatusCode::OK, "text/css; charset=utf-8", page::STYLE),
        "/healthz" => said(status.phase().0 != Phase::Sick, status),
        "/readyz" => said(status.is_ready(), status),
        "/metrics" => body(StatusCode::OK, prometheus::CONTENT_TYPE, status.metrics.prometheus(&status.readings())),
        "/status" => match serde_json::to_vec_pretty(&status.view()) {
            Ok(document) => body(StatusCode::OK, "application/json", document),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("bug: {error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /, /status, /metrics, /healthz and /readyz\n"),
    }
}

/// A probe's answer: what the worker is at, and why.
fn said(good: bool, status: &Status) -> Response<Full<Bytes>> {
    let (phase, reason) = status.phase();
    let phase = format!("{phase:?}").to_lowercase();
    let sentence = reason.map_or_else(|| format!("{phase}\n"), |reason| format!("{phase}: {reason}\n"));
    text(if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &sentence)
}

/// Whether a request names this machine as its host. A page from elsewhere whose name was made to mean 127.0.0.1 does not,
/// and must not read what is here.
fn is_local(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn text(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    body(status, "text/plain; charset=utf-8", sentence.to_owned())
}

fn body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
