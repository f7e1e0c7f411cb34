//! `bench --batch` on a model whose weights mean nothing: the file is read, and decodes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;

use crate::rig::{example, scratch};

#[test]
fn a_random_model_is_the_same_each_time_and_decodes() {
    let dir = scratch();
    let paths = ["one", "two"].map(|name| dir.path().join(format!("ggml-{name}.bin")));
    for path in &paths {
        assert!(Command::new(example("random_model")).arg("tiny").arg(path).status().unwrap().success());
    }
    let [one, two] = paths.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(one == two, "the two files differ");
    let output = Command::new(env!("CARGO_BIN_EXE_transcription-worker"))
        .args(["bench", "--batch", "1,3", "--json", "--device", "cpu", "--model"])
        .arg(&paths[0])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    let batches = figures["decoding"]["batches"].as_array().unwrap();
    let rows: Vec<u64> = batches.iter().filter_map(|batch| batch["rows"].as_u64()).collect();
    assert_eq!(rows, [1, 3]);
    assert!(batches.iter().all(|batch| batch["tokens_per_sec"].as_f64().is_some_and(|pace| pace > 0.0)));
    assert!(figures["decoding"]["encode_secs"].as_f64().is_some_and(|secs| secs > 0.0));
}
