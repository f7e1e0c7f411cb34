//! What `check` looks at: the same parts the daemon is built from, each tried once.

use std::sync::Arc;
use std::time::Instant;

use super::places::Places;
use super::proof::{self, Proof};
use crate::audio::SAMPLE_RATE_HZ;
use crate::config::{EngineConfig, RunConfig};
use crate::exit::Trouble;
use crate::fault::Fault;
use crate::fetch::Scratch;
use crate::health::Health;
use crate::model::Model;
use crate::transcribe::probe;
use crate::transcribe::wire::WindowOptions;

/// One thing checked.
pub struct Finding {
    /// Its name.
    pub what: &'static str,
    /// What was found, or what is wrong.
    pub result: Result<String, Trouble>,
}

/// Checks everything the worker needs. Writes nothing but probes: a file in the scratch directory, and an object where
/// transcripts go, which it removes again.
pub async fn check(config: &RunConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |what, result| findings.push(Finding { what, result });
    let engine = &config.engine;
    note("settings", super::defaults(engine).map(|_| "well-formed".to_owned()).map_err(Trouble::Config));
    match super::resolve_model(engine) {
        Ok(model) => {
            let tried = try_engine(engine, &model).await;
            note("model", Ok(format!("{} at {}, sha256 {}", model.name, model.path.display(), model.sha256)));
            note("engine", tried.map_err(Trouble::Unavailable));
        }
        Err(message) => note("model", Err(Trouble::Config(message))),
    }
    note(
        "ffmpeg",
        Ok(super::ffmpeg_program(engine).map_or_else(
            || "not there: only the built-in decoders are used".to_owned(),
            |program| program.display().to_string(),
        )),
    );
    let scratch_dir = config.places.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch::open(&scratch_dir).map(|_| scratch_dir.display().to_string());
    note("scratch", scratch.map_err(|e| Trouble::Config(format!("{}: {e}", scratch_dir.display()))));
    match Places::open(&config.places, &config.delivery).await {
        Ok(places) => {
            note("queue", queue(&places).await);
            for (what, proof) in [("bus", Proof::Bus), ("output", Proof::Output)] {
                let proved = proof.attempt(&places, &config.places, "check").await;
                note(what, proved.map_err(|fault| proof::trouble(fault, proof)));
            }
        }
        Err(trouble) => note("places", Err(trouble)),
    }
    findings
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

async fn queue(places: &Places) -> Result<String, Trouble> {
    let traits = places.queue.traits().await.map_err(trouble)?;
    let kind = if traits.fifo { "FIFO, " } else { "" };
    Ok(match traits.max_receive_count {
        Some(count) => format!("{kind}dead letters after {count} receives"),
        None => format!("{kind}no redrive policy: a message that keeps failing is tried until it expires"),
    })
}

fn trouble(fault: Fault) -> Trouble {
    match fault {
        Fault::Permanent(problem) => Trouble::Config(problem.message),
        other => Trouble::Unavailable(other.to_string()),
    }
}
