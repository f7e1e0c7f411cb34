//! `bench --batch`: how fast the model at hand decodes by how many windows at a time. No audio is needed.

use crate::app;
use crate::cli::complain;
use crate::config::EngineConfig;
use crate::engine::throughput::{BatchFigures, Figures, Throughput};
use crate::exit;
use crate::model::Model;

/// Measures these batches on the first of the devices and prints what came of it.
pub async fn main(batches: &[u8], as_json: bool, config: &EngineConfig, model: &Model) -> u8 {
    let gpu = match app::suits_processor(config).and_then(|()| app::gpus(config)) {
        Ok(gpus) => gpus.first().copied(),
        Err(message) => return complain(&message, exit::CONFIG),
    };
    let throughput = Throughput {
        model: model.path.clone(),
        weights: config.weights.clone(),
        gpu,
        threads: config.threads,
        batches: batches.to_vec(),
    };
    let tell = move |batch: &BatchFigures| {
        if !as_json {
            line(batch);
        }
    };
    if !as_json {
        println!("model {}, weights {}", model.name, config.weights);
        println!("{:>5} {:>10} {:>9} {:>7}", "rows", "tokens/s", "step ms", "rounds");
    }
    let measured = tokio::task::spawn_blocking(move || throughput.run(tell)).await;
    let figures =
        match measured.map_err(|error| error.to_string()).and_then(|figures| figures.map_err(|e| e.to_string())) {
            Ok(figures) => figures,
            Err(message) => return complain(&message, exit::UNAVAILABLE),
        };
    if as_json {
        let (name, weights) = (&model.name, &config.weights);
        println!("{}", serde_json::json!({ "model": name, "weights": weights, "decoding": figures }));
    } else {
        let Figures { device, weights_mib, encode_secs, .. } = figures;
        println!("{device}; weights take {weights_mib:.0} MiB; 30 s are encoded in {encode_secs:.3} s");
    }
    exit::OK
}

fn line(batch: &BatchFigures) {
    let BatchFigures { rows, tokens_per_sec, step_ms, rounds } = batch;
    println!("{rows:>5} {tokens_per_sec:>10.1} {step_ms:>9.2} {rounds:>7}");
}
