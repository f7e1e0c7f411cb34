//! Which kinds this machine multiplies fastest: found by multiplying, and noted beside the model.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::kinds::Kinds;
use super::native::backend::Backend;
use super::native::graph::Graph;
use super::native::tensor::Kind;
use super::native::workspace::Workspace;
use super::native::{octets, tiles};
use crate::model::ggml::{self, Hparams};

/// Columns that a matrix of the encoder meets at once, about those of a window of 12 s, and one of the decoder.
const OF_A_WINDOW: usize = 640;
const OF_A_BATCH: usize = 4;

/// The fastest of so many rounds counts: another program's moment is no property of the machine.
const ROUNDS: usize = 3;

/// The usual kind is left for one that takes no more than this share of its time: less is the moment's doing, and texts
/// should not depend on it.
const WORTH: f64 = 0.85;

/// What accuracy allows, the usual kinds aside. (Eight bits in the encoder cost words: benches/RESULTS.md.)
const ENCODER: [Kind; 2] = [Kind::F16, Kind::BF16];
const DECODER: [Kind; 3] = [Kind::Q8_0, Kind::F16, Kind::BF16];

/// What was found.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// This processor and these kernels.
    machine: String,
    encoder: String,
    decoder: String,
}

/// How this model's matrices are to be stored on this stream: as the name says. On a processor `auto` is the usual kinds unless
/// others are clearly faster; from the file `{model}.kinds` where that was written for this processor and these kernels.
///
/// # Errors
/// There is no such kind or no model there, no memory, or what ggml refuses.
pub fn kinds(name: &str, model: &Path, stream: &mut Backend) -> io::Result<Kinds> {
    let named = Kinds::named(name, stream.is_gpu()).map_err(io::Error::other)?;
    if stream.is_gpu() || name != "auto" {
        return Ok(named);
    }
    let hparams = ggml::inspect(model).map_err(io::Error::other)?.hparams;
    fastest_kinds(named, &hparams, model, stream)
}

fn fastest_kinds(usual: Kinds, hparams: &Hparams, model: &Path, backend: &mut Backend) -> io::Result<Kinds> {
    let kernels = if octets::are_there() { "octets" } else { "ggml" };
    let machine = format!("{} | {} | {kernels}", processor(), whisper_rs::print_system_info().trim());
    if let Some(noted) = noted(model, &machine) {
        return Ok(noted);
    }
    let started = Instant::now();
    let (heard, written) = (hparams.audio_state as usize, hparams.text_state as usize);
    let mut time = |kind: Kind, shape: [usize; 2], columns: usize| {
        multiply(backend, kind, shape, columns).map_err(io::Error::other)
    };
    // nothing is faster than a tile unit, nor for a few rows than products of bytes
    let others: &[Kind] = if tiles::are_there() { &[] } else { &ENCODER };
    let encoder = fastest(usual.encoder, others, |kind| time(kind, [heard, 4 * heard], OF_A_WINDOW))?;
    // what is read for each token is larger than a cache, and most of it is the vocabulary
    let vocabulary = [written, hparams.vocabulary as usize];
    let others: &[Kind] = if octets::are_there() { &[] } else { &DECODER };
    let decoder = fastest(usual.decoder, others, |kind| time(kind, vocabulary, OF_A_BATCH))?;
    let attention = if encoder == usual.encoder { usual.attention } else { encoder };
    let ms = started.elapsed().as_millis();
    tracing::info!(
        ms,
        encoder = encoder.name(),
        decoder = decoder.name(),
        "the fastest kinds of weights on this machine"
    );
    note(model, &Note { machine, encoder: encoder.name().to_owned(), decoder: decoder.name().to_owned() });
    Ok(Kinds { encoder, decoder, attention })
}

fn fastest(usual: Kind, others: &[Kind], mut time: impl FnMut(Kind) -> io::Result<Duration>) -> io::Result<Kind> {
    let bar = time(usual)?.mul_f64(WORTH);
    let mut best = (usual, bar);
    for kind in others.iter().copied().filter(|kind| *kind != usual) {
        let took = time(kind)?;
        if took < best.1 {
            best = (kind, took);
        }
    }
    Ok(best.0)
}

/// How long a matrix of this kind and shape, inputs first, takes for so many columns.
fn multiply(backend: &mut Backend, kind: Kind, shape: [usize; 2], columns: usize) -> Result<Duration, String> {
    let [inputs, outputs] = shape;
    if !inputs.is_multiple_of(kind.block()) {
        return Ok(Duration::MAX);
    }
    let graph = Graph::new(4)?;
    let matrix = graph.input(kind, [inputs, outputs, 1, 1]);
    let rows = graph.input(Kind::F32, [inputs, columns, 1, 1]);
    graph.output(graph.multiply(matrix, rows));
    let mut memory = Workspace::new(backend.memory());
    let mut placed = memory.place(&graph)?;
    // pages that nobody wrote to are all the same one
    let numbers: Vec<f32> = (0..inputs).map(|index| (index as f32).sin()).collect();
    placed.fill(matrix, &kind.from_f32(&numbers, inputs).repeat(outputs))?;
    placed.set(rows, &numbers.repeat(columns))?;
    let mut best = Duration::MAX;
    for _ in 0..=ROUNDS {
        let started = Instant::now();
        placed.compute(backend)?;
        best = best.min(started.elapsed());
    }
    Ok(best)
}

fn noted(model: &Path, machine: &str) -> Option<Kinds> {
    let note: Note = serde_json::from_slice(&fs::read(path(model)).ok()?).ok()?;
    let names = format!("{},{}", note.encoder, note.decoder);
    Kinds::named(&names, false).ok().filter(|_| note.machine == machine)
}

/// A folder that cannot be written only costs the next start a new trial.
fn note(model: &Path, note: &Note) {
    let written = serde_json::to_vec(note).map_err(io::Error::from).and_then(|note| fs::write(path(model), note));
    if let Err(error) = written {
        tracing::debug!(%error, "the fastest kinds could not be noted beside {}", model.display());
    }
}

fn path(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".kinds");
    name.into()
}

/// The processor's name, where the system tells it.
fn processor() -> String {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// Which is chosen when each takes so long, F16 being the usual one.
    fn chosen(times: [(Kind, u64); 3]) -> Kind {
        let time = |kind| Ok(Duration::from_millis(times.iter().find(|(of, _)| *of == kind).unwrap().1));
        fastest(Kind::F16, &[Kind::BF16, Kind::Q8_0], time).unwrap()
    }

    #[test]
    fn another_kind_is_taken_where_it_is_clearly_faster() {
        assert_eq!(chosen([(Kind::F16, 100), (Kind::BF16, 60), (Kind::Q8_0, 70)]), Kind::BF16);
        assert_eq!(chosen([(Kind::F16, 100), (Kind::BF16, 90), (Kind::Q8_0, 120)]), Kind::F16);
    }

    #[test]
    fn what_was_found_is_noted_for_this_machine_alone() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("ggml-mine.bin");
        assert_eq!(noted(&model, "this"), None);
        note(&model, &Note { machine: "this".to_owned(), encoder: "bf16".to_owned(), decoder: "f16".to_owned() });
        let kinds = noted(&model, "this").unwrap();
        assert_eq!((kinds.encoder, kinds.decoder, kinds.attention), (Kind::BF16, Kind::F16, Kind::BF16));
        assert_eq!(noted(&model, "another"), None);
    }

    #[test]
    fn a_trial_of_a_small_model_ends_with_kinds_that_the_decoder_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("ggml-mine.bin");
        let hparams = Hparams { audio_state: 64, text_state: 64, vocabulary: 512, ..Hparams::default() };
        let usual = Kinds::named("auto", false).unwrap();
        let mut backend = Backend::new(None, 1).unwrap();
        let kinds = fastest_kinds(usual, &hparams, &model, &mut backend).unwrap();
        assert!(ENCODER.contains(&kinds.encoder) && DECODER.contains(&kinds.decoder), "{kinds:?}");
        assert_eq!(fastest_kinds(usual, &hparams, &model, &mut backend).unwrap(), kinds);
    }
}
