//! The real program while it runs: its log, its engines, its end.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::rig::PATIENCE;

/// A running program whose log is read.
pub struct Running {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    /// How many lines with a text were waited for.
    seen: HashMap<String, usize>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (count, lines) = watch::channel(0);
        let lines_of = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stdout.next_line().await {
                lines_of.lock().unwrap().push(line);
                count.send_modify(|n| *n += 1);
            }
        });
        Self { child, log, lines, seen: HashMap::new() }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line that contains the text.
    pub async fn logs(&mut self, text: &str) -> String {
        let waiting = async {
            loop {
                if let Some(line) = self.log.lock().unwrap().iter().find(|line| line.contains(text)) {
                    return line.clone();
                }
                if self.lines.changed().await.is_err() {
                    panic!("the program ended without logging {text:?}: {:#?}", self.log());
                }
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(line) => line,
            Err(_) => panic!("waited in vain for the log line {text:?}: {:#?}", self.log()),
        }
    }

    /// Waits for a log line that contains the text and was not there when this was last asked.
    pub async fn logs_again(&mut self, text: &str) -> String {
        let seen = self.seen.get(text).copied().unwrap_or_default();
        let waiting = async {
            loop {
                let found = self.log.lock().unwrap().iter().filter(|line| line.contains(text)).nth(seen).cloned();
                match found {
                    Some(line) => return line,
                    None => self.lines.changed().await.expect("it still runs"),
                }
            }
        };
        let line = timeout(PATIENCE, waiting).await.expect("a log line comes");
        self.seen.insert(text.to_owned(), seen + 1);
        line
    }

    /// Waits until an engine transcribes; returns its process id.
    pub async fn engine_at_work(&mut self) -> u32 {
        /// Hundredths of a second of CPU time: an idle engine needs none.
        const AT_WORK: u64 = 20;
        self.logs("worker ready").await;
        let waiting = async {
            let mut first: HashMap<u32, u64> = HashMap::new();
            loop {
                for pid in self.children() {
                    let Some(ticks) = cpu_ticks(pid) else { continue };
                    if ticks >= *first.entry(pid).or_insert(ticks) + AT_WORK {
                        return pid;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(pid) => pid,
            Err(_) => panic!("no engine works: {:#?}", self.log()),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it still runs")
    }

    pub fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Asks it to stop and waits for its end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub async fn ended(&mut self) -> ExitStatus {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => {
                // until its log is read to the end
                while self.lines.changed().await.is_ok() {}
                status.unwrap()
            }
            Err(_) => panic!("it does not end: {:#?}", self.log()),
        }
    }

    /// Process ids of its children: the engines.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let by_thread = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().filter_map(Result::ok);
        let lists = by_thread.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
        let all: String = lists.collect::<Vec<_>>().join(" ");
        assert!(Path::new(&path).exists(), "this kernel does not list children");
        all.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }
}

pub fn send_signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// The fields of /proc/PID/stat after the program's name: the state is the first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(line.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Whether a process has ended, reaped or not.
pub fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|fields| fields[0] == "Z")
}

/// User and system time of a process.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    Some(fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}
