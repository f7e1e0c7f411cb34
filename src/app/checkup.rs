//! What `check` looks at: the same parts the daemon is built from, each tried once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::places::Places;
use super::proof::{self, Proof};
use crate::audio::SAMPLE_RATE_HZ;
use crate::config::{EngineConfig, PlacesConfig, RunConfig};
use crate::exit::Trouble;
use crate::fault::Fault;
use crate::health::Health;
use crate::http;
use crate::model::Model;
use crate::transcribe::probe;
use crate::transcribe::wire::WindowOptions;

mod account;
mod machine;

/// What was found, or what is wrong.
type Found = Result<String, Trouble>;

/// One thing checked.
pub struct Finding {
    /// Its name.
    pub what: &'static str,
    /// What was found, or what is wrong.
    pub result: Result<String, Trouble>,
}

/// Checks everything the worker needs, and tells of each as soon as it is known. Writes nothing but probes: a file in the
/// scratch directory, and an object where transcripts go, which it removes again.
pub async fn check(config: &RunConfig, mut tell: impl FnMut(Finding)) {
    let engine = &config.engine;
    let mut tell = |what, result| tell(Finding { what, result });
    tell("settings", settings(config));
    tell("processor", super::suits_processor(engine).map(|()| machine::cores()).map_err(Trouble::Config));
    tell("gpu", machine::gpu(super::gpus(engine)));
    if let Some(found) = machine::cublas(super::gpus(engine)) {
        tell("cublas", found);
    }
    tell("models", machine::models(engine));
    match super::resolve_model(engine) {
        Ok(model) => {
            let tried = try_engine(engine, &model).await;
            tell("model", Ok(format!("{} at {}, sha256 {}", model.name, model.path.display(), model.sha256)));
            tell("engine", tried.map_err(Trouble::Unavailable));
        }
        Err(message) => tell("model", Err(Trouble::Config(message))),
    }
    tell("ffmpeg", Ok(machine::ffmpeg(engine)));
    tell("scratch", machine::scratch(&config.places));
    if let Some(address) = config.watch.http.0 {
        tell("http", Ok(port(address).await));
    }
    // a folder is no account of anybody's
    if config.places.folder.is_none() {
        for (what, result) in account::look(&config.places).await {
            tell(what, result);
        }
    }
    match Places::open(&config.places, &config.delivery).await {
        Ok(places) => {
            tell("queue", queue(&places).await);
            tell("bus", proved(Proof::Bus, &places, &config.places).await);
            let output = proved(Proof::Output, &places, &config.places).await;
            let kms = kms(config.places.kms_key_id.as_deref(), &output);
            tell("output", output);
            tell("kms", kms);
        }
        Err(trouble) => tell("places", Err(trouble)),
    }
}

fn settings(config: &RunConfig) -> Found {
    super::defaults(&config.engine).map_err(Trouble::Config)?;
    config.places.allow_list().map_err(Trouble::Config)?;
    config.group.named().map_err(Trouble::Config)?;
    Ok("well-formed".to_owned())
}

/// Whether the port of the status page is free. The worker that is checked may have it at the moment.
async fn port(address: SocketAddr) -> String {
    match http::open(address).await {
        Ok(_) => format!("{address} is free"),
        Err(problem) => format!("{problem} (is the worker running?)"),
    }
}

/// Starts the engines and has them compute a window.
async fn try_engine(config: &EngineConfig, model: &Model) -> Result<String, String> {
    let started = Instant::now();
    let engine = super::start_engine(config, model, Health::default()).await?;
    let ready = started.elapsed().as_millis();
    let noise = Arc::new(probe::noise(SAMPLE_RATE_HZ as usize));
    let started = Instant::now();
    let heard = engine.session().submit(noise, WindowOptions::default()).await;
    let window = started.elapsed().as_millis();
    engine.end().await;
    heard.map_err(|fault| fault.to_string())?;
    let (devices, lanes) = (engine.devices(), engine.lanes());
    Ok(format!("{devices}, {lanes} lanes, ready in {ready} ms, a window in {window} ms"))
}

async fn queue(places: &Places) -> Found {
    let traits = places.queue.traits().await.map_err(trouble)?;
    let kind = if traits.fifo { "FIFO, " } else { "" };
    Ok(match traits.max_receive_count {
        Some(count) => format!("{kind}dead letters after {count} receives"),
        None => format!("{kind}no redrive policy: a message that keeps failing is tried until it expires"),
    })
}

async fn proved(proof: Proof, places: &Places, config: &PlacesConfig) -> Found {
    proof.attempt(places, config, "check").await.map_err(|fault| proof::trouble(fault, proof))
}

/// The key has been used, or not, when the output was tried.
fn kms(key: Option<&str>, output: &Found) -> Found {
    match (key, output) {
        (None, _) => Ok("no key of yours: the bucket's own encryption".to_owned()),
        (Some(key), Ok(_)) => Ok(format!("{key} encrypted what was written and read")),
        (Some(key), Err(Trouble::Config(_))) => Err(Trouble::Config(format!(
            "{key}: nothing could be written with it, see output: the role needs kms:GenerateDataKey and kms:Decrypt"
        ))),
        (Some(key), Err(Trouble::Unavailable(_))) => Err(Trouble::Unavailable(format!("{key}: not known, see output"))),
    }
}

fn trouble(fault: Fault) -> Trouble {
    match fault {
        Fault::Permanent(problem) => Trouble::Config(problem.message),
        other => Trouble::Unavailable(other.to_string()),
    }
}
