//! One stand-in for AWS per test process, on a free loopback port, where each test is an account of its own; and a proxy
//! that breaks what goes through it, by rules for each account.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use serde_json::{Value, json};
use transcription_worker::app::aws::config_for_endpoint;

/// The servers start in half a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The proxy answers nothing while it reads its tables of operations, at the first request: some seconds of CPU time.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Ends with its owner: the shell kills the server once the pipe to it is closed, however we end; a polite
/// request would wait for the answers that the proxy holds back.
const RUN: &str = r#""$@" >/dev/null 2>&1 & read -r _; kill -9 $!"#;

/// A server on loopback; ends when dropped, and with this process.
struct Server {
    port: u16,
    endpoint: String,
    /// Holds the pipe open.
    _shell: Child,
}

impl Server {
    /// Starts a program of the virtual environment, told by `arguments` which port to serve, and waits until it is well.
    fn start(program: &str, arguments: impl Fn(&mut Command, u16), health: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(program);
        assert!(
            path.exists(),
            "{} is missing: python3 -m venv .venv && .venv/bin/pip install -r tests/requirements.txt",
            path.display()
        );
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut shell = Command::new("sh");
        shell.args(["-c", RUN, "sh"]).arg(path).stdin(Stdio::piped());
        arguments(&mut shell, port);
        let shell = shell.spawn().expect("sh starts");
        let started = Instant::now();
        while !ask(port, "GET", health, "").is_ok_and(|(status, _)| status == 200) {
            assert!(started.elapsed() < START_LIMIT, "{program} did not start on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { port, endpoint: format!("http://127.0.0.1:{port}"), _shell: shell }
    }
}

fn aws() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let arguments = |command: &mut Command, port: u16| {
            let settings = [("BIND_HOST", "127.0.0.1"), ("MINISTACK_HOST", "127.0.0.1")];
            command.envs(settings).env("GATEWAY_PORT", port.to_string());
        };
        Server::start("ministack", arguments, "/_ministack/health")
    })
}

/// The SDK's settings for an account that no other test uses; its access key is its account number.
pub fn account() -> (SdkConfig, String) {
    static ACCOUNTS: AtomicU64 = AtomicU64::new(100_000_000_000);
    let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
    (config_of(&account), account)
}

/// How clients of an account talk to the server.
pub fn config_of(account: &str) -> SdkConfig {
    config_for_endpoint(&aws().endpoint, account).unwrap()
}

fn faulty_aws() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start("microburst", proxy_arguments, PROXY_HEALTH))
}

const PROXY_HEALTH: &str = "/_microburst/health";

fn proxy_arguments(command: &mut Command, port: u16) {
    command.args(["--host", "127.0.0.1", "-p", &port.to_string(), "-u", &aws().endpoint]);
}

/// The proxy itself drops the length from every answer, and S3 never does.
fn whole_heads(bucket: Option<&str>, object_bytes: usize) -> Value {
    let length = json!({"set_headers": {"Content-Length": object_bytes.to_string()}});
    json!({"service": "s3", "operation": "HeadObject", "resource": bucket, "response": length})
}

/// A way to AWS that fails one account by rules.
pub struct Proxy {
    server: &'static Server,
    /// What marks the account's requests.
    headers: Value,
    /// Ids of its rules.
    rules: Vec<Value>,
}

impl Proxy {
    /// Rules for an account, each `{service, operation, times, error: {code, status}, latency, response, …}`.
    /// `object_bytes` is the size of the object that goes through.
    pub fn start(account: &str, rules: &Value, object_bytes: usize) -> Self {
        let rules = rules.as_array().unwrap().iter().cloned().chain([whole_heads(None, object_bytes)]);
        Self::with_rules(faulty_aws(), account, rules)
    }

    /// The same through a proxy of its own, whose dice are cast by `seed`. `heads` has the size of the objects in each
    /// bucket.
    pub fn seeded(seed: u64, account: &str, rules: &Value, heads: &[(String, usize)]) -> Self {
        const SEEDED: &str =
            "import random, sys; random.seed(int(sys.argv.pop(1))); from microburst.cli import main; main()";
        let server = Server::start(
            "python",
            |command, port| {
                command.args(["-c", SEEDED, &seed.to_string()]);
                proxy_arguments(command, port);
            },
            PROXY_HEALTH,
        );
        let heads = heads.iter().map(|(bucket, bytes)| whole_heads(Some(bucket), *bytes));
        // a server ends with this process
        Self::with_rules(Box::leak(Box::new(server)), account, rules.as_array().unwrap().iter().cloned().chain(heads))
    }

    fn with_rules(server: &'static Server, account: &str, rules: impl Iterator<Item = Value>) -> Self {
        let headers = json!({"Authorization": format!("Credential={account}/")});
        let rules = rules.map(|mut rule| {
            rule["headers"] = headers.clone();
            rule
        });
        let rules = Value::Array(rules.collect());
        let mut proxy = Self { server, headers, rules: Vec::new() };
        let added = proxy.control("PATCH", "rules", &rules);
        proxy.rules = added.as_array().unwrap().iter().map(|rule| rule["id"].clone()).collect();
        proxy
    }

    pub fn endpoint(&self) -> &str {
        &self.server.endpoint
    }

    /// Lets the account's requests to a service through again.
    pub fn recover(&self, service: &str) {
        let answer = self.control("DELETE", "rules", &json!([{"service": service, "headers": self.headers}]));
        assert_ne!(answer["removed"], 0);
    }

    /// How many of the account's requests of this operation a rule has hit.
    pub fn hits(&self, operation: &str) -> usize {
        let fired = self.control("GET", &format!("fired?limit=100000&operation={operation}"), &json!(""));
        fired.as_array().unwrap().iter().filter(|hit| self.rules.contains(&hit["rule_id"])).count()
    }

    /// Of a proxy of its own: all requests, and how many each rule has hit, in the order they were given.
    pub fn totals(&self) -> (u64, Vec<u64>) {
        let stats = self.control("GET", "stats", &json!(""));
        let fired = stats["by_rule"].as_array().unwrap();
        let of =
            |id: &Value| fired.iter().find(|rule| rule["id"] == *id).map_or(0, |rule| rule["fired"].as_u64().unwrap());
        (stats["requests"]["total"].as_u64().unwrap(), self.rules.iter().map(of).collect())
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = ask(self.server.port, method, &format!("/_microburst/{path}"), &body.to_string());
        let (status, body) = answer.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// One request; the answer's status and body.
fn ask(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let length = body.len();
    // HTTP/1.0: no chunks in the answer
    let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(answer))
}
