//! An instance and its Auto Scaling group: a scale-in that loses nothing, an idle end that ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::imds::FakeImds;
use crate::interruptions::{LIFECYCLE_STATE, on_instance};
use crate::rig::{Rig, long_speech, scripted_engine, wait_until};
use crate::running::Running;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

/// The API of EC2 Auto Scaling on loopback, as far as a worker calls it: it remembers what it was asked.
#[derive(Clone)]
struct FakeGroup {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
    /// Actions that are refused once more.
    refuses: Arc<Mutex<Vec<&'static str>>>,
}

impl FakeGroup {
    async fn start(refuses: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let group = Self { endpoint, asked: Arc::default(), refuses: Arc::new(Mutex::new(refuses.to_vec())) };
        let served = group.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(socket));
            }
        });
        group
    }

    async fn serve(self, mut socket: TcpStream) {
        let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
        let body = loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.and_then(|length| length.trim().parse().ok()).unwrap_or(0) {
                    break body.to_owned();
                }
            }
            match socket.read(&mut chunk).await {
                Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        };
        let action = body.split('&').find_map(|part| part.strip_prefix("Action=")).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(body);
        let refused = {
            let mut refuses = self.refuses.lock().unwrap();
            let at = refuses.iter().position(|refused| *refused == action);
            at.map(|at| refuses.remove(at)).is_some()
        };
        let (status, body) = if refused {
            (400, "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>no</Message></Error></ErrorResponse>".to_owned())
        } else {
            (
                200,
                format!(
                    "<{action}Response><{action}Result/><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
                ),
            )
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let _ = socket.write_all(answer.as_bytes()).await;
    }

    /// The actions so far, in their order.
    fn actions(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter_map(|body| body.split('&').find_map(|part| part.strip_prefix("Action=")))
            .map(str::to_owned)
            .collect()
    }

    fn was_asked(&self, parts: &[&str]) -> bool {
        self.asked.lock().unwrap().iter().any(|body| parts.iter().all(|part| body.contains(part)))
    }
}

/// A worker on an instance of the group.
fn member(rig: &Rig, imds: &FakeImds, group: &FakeGroup) -> Command {
    imds.state().bodies.insert(INSTANCE_ID, "i-0123456789abcdef0".to_owned());
    let mut command = on_instance(rig.worker(), imds);
    command
        .env("AWS_ENDPOINT_URL_AUTO_SCALING", &group.endpoint)
        .env("TRANSCRIPTION_ENGINE_COMMAND", scripted_engine())
        .env("TRANSCRIPTION_SCALING_GROUP", "workers")
        .env("TRANSCRIPTION_LIFECYCLE_HOOK", "drain");
    command
}

#[tokio::test]
async fn a_scale_in_of_a_busy_instance_is_completed_once_its_work_was_given_back() {
    let (rig, imds, group) = (Rig::new().await, FakeImds::start().await, FakeGroup::start(&[]).await);
    rig.upload("long.wav", long_speech(600)).await;
    imds.state().bodies.insert(LIFECYCLE_STATE, "InService".to_owned());
    let mut command = member(&rig, &imds, &group);
    command.env("TRANSCRIPTION_SCALE_IN_PROTECTION", "on").env("SCRIPTED_ENGINE_DELAY_MS", "1000");
    command.env("TRANSCRIPTION_DRAIN_SECS", "4").env("TRANSCRIPTION_DRAIN_MARGIN_SECS", "2");
    let mut worker = Running::start(&mut command);
    rig.send(rig.job("long", "long.wav")).await;
    let protected = [
        "Action=SetInstanceProtection",
        "AutoScalingGroupName=workers",
        "i-0123456789abcdef0",
        "ProtectedFromScaleIn=true",
    ];
    wait_until("the instance is protected", async || group.was_asked(&protected)).await;
    assert!(!group.was_asked(&["CompleteLifecycleAction"]));

    // somebody takes it all the same
    imds.state().bodies.insert(LIFECYCLE_STATE, "Terminated".to_owned());
    assert_eq!(worker.ended().await.code(), Some(0), "{:#?}", worker.log());
    assert_eq!(rig.counts().await, (1, 0), "given back");
    let actions = group.actions();
    assert_eq!(actions.last().map(String::as_str), Some("CompleteLifecycleAction"), "{actions:?}");
    assert!(actions.iter().any(|action| action == "RecordLifecycleActionHeartbeat"), "{actions:?}");
    assert!(group.was_asked(&[
        "Action=CompleteLifecycleAction",
        "LifecycleHookName=drain",
        "LifecycleActionResult=CONTINUE",
        "i-0123456789abcdef0"
    ]));
}

#[tokio::test]
async fn an_idle_worker_ends_its_instance_where_the_group_lets_it_and_goes_on_where_not() {
    let (rig, imds) = (Rig::new().await, FakeImds::start().await);
    let group = FakeGroup::start(&["TerminateInstanceInAutoScalingGroup", "CompleteLifecycleAction"]).await;
    rig.upload("talk.wav", long_speech(6)).await;
    let mut command = member(&rig, &imds, &group);
    command.env("TRANSCRIPTION_IDLE_TERMINATES", "on").env("TRANSCRIPTION_IDLE_MINUTES", "0.05");
    let mut worker = Running::start(&mut command);
    worker.logs("idle, and kept by the group").await;
    rig.send(rig.job("talk", "talk.wav")).await;
    assert_eq!(rig.event().await["status"], "completed", "it goes on");
    assert_eq!(worker.ended().await.code(), Some(0), "{:#?}", worker.log());
    assert!(group.was_asked(&[
        "TerminateInstanceInAutoScalingGroup",
        "ShouldDecrementDesiredCapacity=true",
        "i-0123456789abcdef0"
    ]));
    let actions = group.actions();
    assert_eq!(
        actions[actions.len() - 2..],
        ["CompleteLifecycleAction"; 2],
        "once more, for its wait had not begun: {actions:?}"
    );
}

#[tokio::test]
async fn a_worker_that_is_to_ask_a_group_it_does_not_know_says_so() {
    let rig = Rig::new().await;
    for (name, value, status) in [
        ("TRANSCRIPTION_LIFECYCLE_HOOK", "drain", 78),
        // off EC2 nobody knows which instance it is
        ("TRANSCRIPTION_SCALING_GROUP", "workers", 69),
    ] {
        let mut command = rig.worker();
        command.env("TRANSCRIPTION_SCALE_IN_PROTECTION", json!(true).to_string()).env(name, value);
        assert_eq!(Running::start(&mut command).ended().await.code(), Some(status), "{name}");
    }
}
