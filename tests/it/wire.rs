//! A wire between a worker and AWS: it stalls or cuts what passes at a chosen byte of a chosen request, slows it down, or
//! lets nothing pass at all.
//!
//! Our own, because what there is knows connections only, and a connection carries many requests: `noxious` (Toxiproxy
//! in Rust, 1.0.4, whose dependencies are of 2021) and the TCP mode of the proxy in server.rs cannot tell the upload of
//! an object from the deletion of a message. That proxy's HTTP mode can, but it stands between two conversations: it
//! cannot keep an answer back once the server has acted, nor let everything hang at one moment.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rig::PATIENCE;

/// A slow wire passes bytes so often: fine enough to look like a stream.
const TICK: Duration = Duration::from_millis(50);

/// What befalls requests that mention a text in their head, or the answers to them.
pub struct Trouble {
    about: String,
    beside: &'static str,
    side: Side,
    after_bytes: usize,
    how: How,
    times: usize,
}

#[derive(Clone, Copy)]
enum Side {
    Request,
    Answer,
}

#[derive(Clone, Copy)]
enum How {
    Stall,
    Cut,
    Lose,
}

/// The next request that mentions `about` stalls before its first byte arrives, for ever.
pub fn request(about: impl Into<String>) -> Trouble {
    Trouble { about: about.into(), beside: "", side: Side::Request, after_bytes: 0, how: How::Stall, times: 1 }
}

/// The next request that mentions `about` arrives; its answer stalls before its first byte.
pub fn answer(about: impl Into<String>) -> Trouble {
    Trouble { side: Side::Answer, ..request(about) }
}

/// The next look at an object of this bucket stalls before its first byte arrives.
pub fn look(bucket: &str) -> Trouble {
    Trouble { beside: "bytes=0-0", ..request(format!("GET /{bucket}/")) }
}

/// The answer to the next download from this bucket stalls before its first byte.
pub fn download(bucket: &str) -> Trouble {
    // what is downloaded was looked at, and must not have changed
    Trouble { beside: "if-match: ", ..answer(format!("GET /{bucket}/")) }
}

impl Trouble {
    /// It comes once so many bytes have passed, head included.
    pub fn after_bytes(self, after_bytes: usize) -> Self {
        Self { after_bytes, ..self }
    }

    /// The connection is reset instead of stalling.
    pub fn cut(self) -> Self {
        Self { how: How::Cut, ..self }
    }

    /// The whole network is lost at this moment, until it is restored.
    pub fn loses_the_network(self) -> Self {
        Self { how: How::Lose, ..self }
    }

    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }
}

/// A wire; its connections end when it is dropped.
pub struct Wire {
    pub endpoint: String,
    relay: Arc<Relay>,
    _connections: JoinSet<()>,
}

impl Wire {
    /// A wire to the server at `endpoint`, through which all passes.
    pub async fn to(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint_here = format!("http://{}", listener.local_addr().unwrap());
        let relay = Arc::new(Relay {
            server: endpoint.strip_prefix("http://").unwrap().parse().unwrap(),
            troubles: Mutex::default(),
            hits: watch::Sender::new(0),
            up: watch::Sender::new(true),
            waiting: Mutex::default(),
            bytes_per_sec: Mutex::default(),
        });
        let mut connections = JoinSet::new();
        let accepting = relay.clone();
        connections.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                each.spawn(accepting.clone().connection(client));
            }
        });
        Self { endpoint: endpoint_here, relay, _connections: connections }
    }

    pub fn will(&self, trouble: Trouble) {
        self.relay.troubles.lock().unwrap().push(trouble);
    }

    /// Waits until so many troubles have come.
    pub async fn hits(&self, count: usize) {
        let mut hits = self.relay.hits.subscribe();
        let met = timeout(PATIENCE, hits.wait_for(|hits| *hits >= count)).await;
        assert!(met.is_ok(), "waited in vain for trouble {count} on the wire");
    }

    /// From now on nothing passes, on old connections and on new ones, which are accepted all the same: a client cannot
    /// tell this from a server that thinks.
    pub fn lose(&self) {
        self.relay.up.send_replace(false);
    }

    /// What waited passes, as packets that are sent again would.
    pub fn restore(&self) {
        self.relay.waiting.lock().unwrap().clear();
        self.relay.up.send_replace(true);
    }

    /// How many requests that mention `about` wait for the lost network.
    pub fn waiting(&self, about: &str) -> usize {
        self.relay.waiting.lock().unwrap().iter().filter(|head| head.contains(about)).count()
    }

    /// Each direction of each connection passes at most so many bytes a second from now on.
    pub fn slow_down(&self, bytes_per_sec: usize) {
        *self.relay.bytes_per_sec.lock().unwrap() = Some(bytes_per_sec);
    }
}

struct Relay {
    server: SocketAddr,
    troubles: Mutex<Vec<Trouble>>,
    hits: watch::Sender<usize>,
    up: watch::Sender<bool>,
    /// Heads of requests that wait for the network.
    waiting: Mutex<Vec<String>>,
    bytes_per_sec: Mutex<Option<usize>>,
}

/// Bytes that still pass, and what comes then: for the request under way and for its answer.
type Fates = [Option<(usize, How)>; 2];

impl Relay {
    async fn connection(self: Arc<Self>, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(self.server).await else { return };
        let fates = Mutex::new(Fates::default());
        let cut = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::select! {
                cut = self.pass(from_client, to_server, Side::Request, &fates) => cut,
                cut = self.pass(from_server, to_client, Side::Answer, &fates) => cut,
            }
        };
        if matches!(cut, Ok(true)) {
            for end in [client, server] {
                end.set_zero_linger().unwrap();
            }
        }
    }

    /// Passes bytes on until one end closes, which is `false`, or the connection is to be cut.
    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        side: Side,
        fates: &Mutex<Fates>,
    ) -> io::Result<bool> {
        let mut buffer = vec![0; 16 * 1024];
        let mut about = String::new();
        loop {
            let count = from.read(&mut buffer).await?;
            let mut chunk = &buffer[..count];
            if chunk.is_empty() {
                return Ok(false);
            }
            if let (Side::Request, Some(head)) = (side, head(chunk)) {
                *fates.lock().unwrap() = self.fates(&head);
                about = head;
            }
            let fate = fates.lock().unwrap()[side as usize].take();
            if let Some((left, how)) = fate {
                if left >= count {
                    fates.lock().unwrap()[side as usize] = Some((left - count, how));
                } else {
                    let (before, after) = chunk.split_at(left);
                    self.write(&mut to, before, &about).await?;
                    self.hits.send_modify(|hits| *hits += 1);
                    match how {
                        How::Stall => pending().await,
                        How::Cut => return Ok(true),
                        How::Lose => drop(self.up.send_replace(false)),
                    }
                    chunk = after;
                }
            }
            self.write(&mut to, chunk, &about).await?;
        }
    }

    /// What awaits a request with this head, and its answer.
    fn fates(&self, head: &str) -> Fates {
        let mut fates = Fates::default();
        let mut troubles = self.troubles.lock().unwrap();
        let meant = |trouble: &&mut Trouble| head.contains(&trouble.about) && head.contains(trouble.beside);
        for trouble in troubles.iter_mut().filter(|trouble| trouble.times > 0).filter(meant) {
            trouble.times -= 1;
            fates[trouble.side as usize] = Some((trouble.after_bytes, trouble.how));
        }
        fates
    }

    /// Writes at the wire's pace, while there is a network.
    async fn write(&self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], about: &str) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            if !*self.up.borrow() {
                self.waiting.lock().unwrap().push(about.to_owned());
                // cannot fail: the sender is ours
                let _ = self.up.subscribe().wait_for(|up| *up).await;
            }
            let pace = *self.bytes_per_sec.lock().unwrap();
            let at_once = pace.map_or(left.len(), |pace| (pace / 20).clamp(1, left.len()));
            let (now, later) = left.split_at(at_once);
            to.write_all(now).await?;
            if pace.is_some() {
                tokio::time::sleep(TICK).await;
            }
            left = later;
        }
        Ok(())
    }
}

/// The head of the request that begins with these bytes. The SDK's heads come in one piece, and it sends no request
/// before the last one's answer has come.
fn head(chunk: &[u8]) -> Option<String> {
    let methods: [&[u8]; 5] = [b"GET ", b"HEAD ", b"PUT ", b"POST ", b"DELETE "];
    methods.iter().any(|method| chunk.starts_with(method)).then(|| {
        let end = chunk.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(chunk.len());
        String::from_utf8_lossy(&chunk[..end]).into_owned()
    })
}
