//! One file over HTTP: resumed where it was cut, never longer than announced. What it holds is the caller's to verify.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use ureq::http::{HeaderName, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::ModelError;

/// Where the hub cannot be reached the next source is tried: soon, for somebody is waiting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A hub that has the file on cold storage may take its time.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection this silent is dead, and is made anew.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Reconnections in a row that bring nothing.
const MAX_BARREN_ATTEMPTS: u32 = 5;
/// Between such attempts, times their number.
const PAUSE: Duration = Duration::from_secs(2);
const BLOCK_BYTES: usize = 1 << 17;

/// How one connection ended that did not bring the whole file.
enum Stop {
    /// It may be worth another one.
    Cut(String),
    /// It is not.
    Final(ModelError),
}

/// Brings `part` to `bytes` bytes of `url`, beginning after those it has, telling `progress` how many it has.
///
/// # Errors
/// `Unavailable` in a sentence that names the URL, where nothing, something of another length or not all could be
/// had: what was got so far stays for another time. `Io` for `part`.
pub fn fetch(url: &str, part: &Path, bytes: u64, progress: &mut dyn FnMut(u64)) -> Result<(), ModelError> {
    let io = |e| ModelError::io("write", part, e);
    let file = OpenOptions::new().create(true).append(true).open(part).map_err(io)?;
    let mut have = file.metadata().map_err(io)?.len();
    if have > bytes {
        file.set_len(0).map_err(io)?;
        have = 0;
    }
    let mut transfer = Transfer { agent: agent(), url, part, file, have, bytes };
    let (mut barren, mut got_any) = (0, false);
    while transfer.have < bytes {
        let before = transfer.have;
        match transfer.connection(progress) {
            Ok(()) => {}
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Cut(why)) => {
                let brought = transfer.have > before;
                got_any |= brought;
                barren = if brought { 0 } else { barren + 1 };
                if !got_any || barren >= MAX_BARREN_ATTEMPTS {
                    return Err(ModelError::Unavailable(format!("{url}: {why}")));
                }
                thread::sleep(PAUSE * barren);
            }
        }
    }
    Ok(())
}

struct Transfer<'a> {
    agent: Agent,
    url: &'a str,
    part: &'a Path,
    /// Opened for appending.
    file: File,
    /// Its length.
    have: u64,
    bytes: u64,
}

impl Transfer<'_> {
    fn connection(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Stop> {
        let mut request = self.agent.get(self.url);
        if self.have > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.have));
        }
        let response = request.call().map_err(|e| Stop::Cut(e.to_string()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refused(&format!("the server answers {status}")));
        }
        if let Some(announced) = announced(&response).filter(|announced| *announced != self.bytes) {
            return Err(self.refused(&format!("{announced} bytes are offered where {} were published", self.bytes)));
        }
        if status != StatusCode::PARTIAL_CONTENT && self.have > 0 {
            // the server knows no ranges: from the beginning then
            self.file.set_len(0).map_err(|e| self.disk(e))?;
            self.have = 0;
        }
        let mut body = response.into_body().into_reader().take(self.bytes - self.have);
        let mut block = vec![0; BLOCK_BYTES];
        while self.have < self.bytes {
            let read = body.read(&mut block).map_err(|e| Stop::Cut(e.to_string()))?;
            let Some(received) = block.get(..read).filter(|received| !received.is_empty()) else {
                return Err(Stop::Cut(format!("cut after {} of {} bytes", self.have, self.bytes)));
            };
            self.file.write_all(received).map_err(|e| self.disk(e))?;
            self.have += read as u64;
            progress(self.have);
        }
        Ok(())
    }

    fn refused(&self, why: &str) -> Stop {
        Stop::Final(ModelError::Unavailable(format!("{}: {why}", self.url)))
    }

    fn disk(&self, error: io::Error) -> Stop {
        Stop::Final(ModelError::io("write", self.part, error))
    }
}

/// How long the server says the whole file is, if it does.
fn announced(response: &Response<Body>) -> Option<u64> {
    let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    if response.status() == StatusCode::PARTIAL_CONTENT {
        return text(CONTENT_RANGE)?.rsplit('/').next()?.parse().ok();
    }
    text(CONTENT_LENGTH)?.parse().ok()
}

fn agent() -> Agent {
    // what the system trusts, so that a company's own authority counts; else ureq's own list
    let native = rustls_native_certs::load_native_certs().certs;
    let certificates: Vec<_> = native.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let roots = if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&certificates) };
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(RESPONSE_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        .user_agent(concat!("transcription-worker/", env!("CARGO_PKG_VERSION")))
        // a range of something compressed is not a range of the file
        .accept_encoding("identity")
        .http_status_as_error(false)
        .build()
        .into()
}
