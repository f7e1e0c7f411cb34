//! A metadata service on loopback: IMDSv2 as EC2 speaks it, with paths to arm and ways to fail.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the service is like now.
#[derive(Default)]
pub struct State {
    /// Bodies by path; every other path is a 404.
    pub bodies: HashMap<&'static str, String>,
    /// Answers every request with this status.
    pub status: Option<u16>,
    /// Closes connections without an answer, as what is not there does.
    pub is_away: bool,
    /// Accepts connections and never answers.
    pub hangs: bool,
    /// The only valid token's number; raise it to invalidate those handed out.
    pub token: u32,
    /// Tokens handed out.
    pub tokens_issued: u32,
    /// Requests that were refused with 401.
    pub refused: u32,
    /// Requests that met `status`, `hangs` or `is_away`.
    pub failed: u32,
    /// GETs that were answered 200 or 404.
    pub answered: u32,
}

#[derive(Clone)]
pub struct FakeImds {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl FakeImds {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let imds = Self { endpoint, state: Arc::default() };
        let served = imds.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(socket));
            }
        });
        imds
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// One request per connection is enough.
    async fn serve(self, mut socket: TcpStream) {
        let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match socket.read(&mut chunk).await {
                Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        if self.state().is_away {
            self.state().failed += 1;
            return;
        }
        let hangs = self.state().hangs;
        if hangs {
            self.state().failed += 1;
            std::future::pending::<()>().await;
        }
        let (status, body) = self.answer(&String::from_utf8_lossy(&request));
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
        let answer = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let _ = socket.write_all(answer.as_bytes()).await;
    }

    fn answer(&self, request: &str) -> (u16, String) {
        let mut state = self.state();
        if let Some(status) = state.status {
            state.failed += 1;
            return (status, String::new());
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let token = format!("token-{}", state.token);
        if method == "PUT" && path == "/latest/api/token" {
            state.tokens_issued += 1;
            return (200, token);
        }
        let is_authorised = request.lines().any(|line| {
            line.split_once(": ").is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("x-aws-ec2-metadata-token") && value.trim() == token
            })
        });
        if !is_authorised {
            state.refused += 1;
            return (401, String::new());
        }
        state.answered += 1;
        state.bodies.get(path).map_or((404, String::new()), |body| (200, body.clone()))
    }
}
