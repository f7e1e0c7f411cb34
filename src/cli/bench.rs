//! `bench`: speed, memory and accuracy of the whole way over files, through the worker's own path.

use std::path::PathBuf;
use std::time::Duration;

use super::complain;
use super::wording::WordingArgs;
use crate::app;
use crate::config::EngineConfig;
use crate::exit;
use figures::{Bench, since_process_start};

pub mod batch;
pub mod fairness;
pub mod figures;
pub mod inputs;
pub mod process;
mod shares;
mod stage;
pub mod table;
pub mod wer;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Audio files, or directories of them
    #[arg(value_name = "FILE|DIR", required_unless_present_any = ["manifest", "fairness", "batch"])]
    files: Vec<PathBuf>,

    /// JSON with `files: [{file, text, language, kind}]`, paths relative to it: prints word error rates of its English texts
    #[arg(long, value_name = "JSON")]
    manifest: Option<PathBuf>,

    /// Only the manifest's files of these kinds
    #[arg(long, value_delimiter = ',', requires = "manifest", value_name = "KIND,…")]
    kinds: Vec<String>,

    /// Files at a time [default: one more than lanes, as the worker does]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How long a 10 s job takes that is submitted while a file of 2 h is at work; both are made of this clip of speech
    #[arg(long, value_name = "CLIP", conflicts_with_all = ["files", "manifest", "jobs", "output_dir"])]
    fairness: Option<PathBuf>,

    /// How many tokens a second are decoded by so many windows at a time: the model alone, on noise
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N,…",
        conflicts_with_all = ["files", "manifest", "jobs", "fairness", "output_dir"])]
    batch: Vec<u8>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write each file's JSON transcript here, under its manifest path with `/` as `__`
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,

    #[command(flatten)]
    wording: WordingArgs,

    #[command(flatten)]
    engine: EngineConfig,
}

/// Runs the command: 0 only if every file could be transcribed, and no short job waited behind a long one.
pub async fn main(args: BenchArgs) -> u8 {
    let prepared = || {
        let files = inputs::entries(args.manifest.as_deref(), &args.kinds, &args.files)?;
        let voices = app::voices(&args.engine)?;
        let mut defaults = app::defaults(&args.engine)?;
        defaults.wording = args.wording.wording()?;
        Ok::<_, String>((files, defaults, app::resolve_model(&args.engine)?, voices))
    };
    let (files, defaults, model, voices) = match prepared() {
        Ok(prepared) => prepared,
        Err(message) => return complain(&message, exit::CONFIG),
    };
    if let Some(Err(e)) = args.output_dir.as_ref().map(std::fs::create_dir_all) {
        let dir = args.output_dir.unwrap_or_default();
        return complain(&format!("failed to make {}: {e}", dir.display()), exit::UNAVAILABLE);
    }
    if let Some(clip) = &args.fairness {
        return fairness::main(clip, args.json, &args.engine, &defaults, &model).await;
    }
    if !args.batch.is_empty() {
        return batch::main(&args.batch, args.json, &args.engine, &model).await;
    }
    let bench = Bench {
        files: &files,
        defaults: &defaults,
        voices: &voices,
        model: &model,
        jobs: args.jobs,
        output_dir: args.output_dir.as_deref(),
    };
    let lanes: Vec<Option<u8>> =
        if args.engine.lanes.is_empty() { vec![None] } else { args.engine.lanes.iter().copied().map(Some).collect() };
    let mut runs = Vec::new();
    for lanes in lanes {
        let mut engine = args.engine.clone();
        engine.lanes = lanes.into_iter().collect();
        let before = if runs.is_empty() { since_process_start() } else { Duration::ZERO };
        match bench.run(&engine, before).await {
            Ok(figures) => runs.push(figures),
            Err(message) => return complain(&message, exit::UNAVAILABLE),
        }
    }
    if args.json {
        println!("{}", serde_json::json!({ "model": model.name, "sha256": model.sha256, "runs": runs }));
    } else {
        table::print(&runs, &model.name);
    }
    if runs.iter().any(|figures| figures.failed > 0) { exit::FAILED } else { exit::OK }
}
