//! One stand-in for AWS per test process, on a free loopback port; each test is an account of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use transcription_worker::app::aws::config_for_endpoint;

/// The server starts in half a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Ends with this process: the shell kills the server once the pipe to it is closed, however we end.
const RUN: &str = r#""$1" >/dev/null 2>&1 & read -r _; kill $!"#;

struct Server {
    endpoint: String,
    /// Holds the pipe open.
    _shell: Child,
}

/// The SDK's settings for an account that no other test uses; its access key is its account number.
pub fn account() -> (SdkConfig, String) {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static ACCOUNTS: AtomicU64 = AtomicU64::new(100_000_000_000);
    let server = SERVER.get_or_init(start);
    let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
    (config_for_endpoint(&server.endpoint, &account).unwrap(), account)
}

fn start() -> Server {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/ministack");
    assert!(
        program.exists(),
        "{} is missing: python3 -m venv .venv && .venv/bin/pip install -r tests/requirements.txt",
        program.display()
    );
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shell = Command::new("sh")
        .args(["-c", RUN, "sh"])
        .arg(program)
        .envs([("BIND_HOST", "127.0.0.1"), ("MINISTACK_HOST", "127.0.0.1")])
        .env("GATEWAY_PORT", port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let started = Instant::now();
    while !is_healthy(port) {
        assert!(started.elapsed() < START_LIMIT, "the stand-in for AWS did not start on port {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Server { endpoint: format!("http://127.0.0.1:{port}"), _shell: shell }
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
