//! A small Whisper in CTranslate2's format, converted and read back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use half::f16;
use tempfile::TempDir;

use super::*;

const WIDTH: u32 = 64;
const VOCABULARY: u32 = 51_864;

/// Writes the format, one variable after the other.
struct Ct2 {
    variables: Vec<u8>,
    count: u32,
}

impl Ct2 {
    fn put(&mut self, name: &str, dims: &[u32], kind: u8, data: &[u8]) {
        self.variables.extend(string(name));
        self.variables.push(dims.len() as u8);
        dims.iter().for_each(|dim| self.variables.extend(dim.to_le_bytes()));
        self.variables.push(kind);
        self.variables.extend((data.len() as u32).to_le_bytes());
        self.variables.extend(data);
        self.count += 1;
    }

    /// Half floats; each value is the number of its row.
    fn rows(&mut self, name: &str, dims: &[u32]) {
        let row_len: u32 = dims[1..].iter().product();
        let values = (0..dims[0]).flat_map(|row| (0..row_len).map(move |_| f16::from_f32(row as f32)));
        let data: Vec<u8> = values.flat_map(f16::to_le_bytes).collect();
        self.put(name, dims, 4, &data);
    }

    fn linear(&mut self, name: &str, rows: u32, columns: u32) {
        self.rows(&format!("{name}/weight"), &[rows, columns]);
        self.rows(&format!("{name}/bias"), &[rows]);
    }

    fn norm(&mut self, name: &str) {
        self.rows(&format!("{name}/layer_norm/gamma"), &[WIDTH]);
        self.rows(&format!("{name}/layer_norm/beta"), &[WIDTH]);
    }

    fn file(&self, spec: &str) -> Vec<u8> {
        let head = [6_u32.to_le_bytes().to_vec(), string(spec), 3_u32.to_le_bytes().to_vec()].concat();
        [head, self.count.to_le_bytes().to_vec(), self.variables.clone(), 0_u32.to_le_bytes().to_vec()].concat()
    }
}

fn string(text: &str) -> Vec<u8> {
    [(text.len() as u16 + 1).to_le_bytes().as_slice(), text.as_bytes(), &[0]].concat()
}

/// One layer on either side. `quantised`: the first mlp matrix as int8 with a scale per row.
fn whisper(quantised: bool) -> Ct2 {
    let mut model = Ct2 { variables: Vec::new(), count: 0 };
    model.rows("encoder/position_encodings/encodings", &[1_500, WIDTH]);
    model.rows("decoder/position_encodings/encodings", &[448, WIDTH]);
    model.rows("decoder/embeddings/weight", &[VOCABULARY, WIDTH]);
    model.rows("encoder/conv1/weight", &[WIDTH, 80, 3]);
    model.rows("encoder/conv1/bias", &[WIDTH]);
    model.rows("encoder/conv2/weight", &[WIDTH, WIDTH, 3]);
    model.rows("encoder/conv2/bias", &[WIDTH]);
    model.norm("encoder");
    model.norm("decoder");
    for layer in ["encoder/layer_0", "decoder/layer_0"] {
        model.norm(&format!("{layer}/self_attention"));
        model.linear(&format!("{layer}/self_attention/linear_0"), 3 * WIDTH, WIDTH);
        model.linear(&format!("{layer}/self_attention/linear_1"), WIDTH, WIDTH);
        model.norm(&format!("{layer}/ffn"));
        if quantised {
            let rows: Vec<u8> = (0..4 * WIDTH).flat_map(|row| [(row % 100) as u8; WIDTH as usize]).collect();
            let scales: Vec<u8> = (0..4 * WIDTH).flat_map(|_| 4_f32.to_le_bytes()).collect();
            model.put(&format!("{layer}/ffn/linear_0/weight"), &[4 * WIDTH, WIDTH], 1, &rows);
            model.put(&format!("{layer}/ffn/linear_0/weight_scale"), &[4 * WIDTH], 0, &scales);
            model.rows(&format!("{layer}/ffn/linear_0/bias"), &[4 * WIDTH]);
        } else {
            model.linear(&format!("{layer}/ffn/linear_0"), 4 * WIDTH, WIDTH);
        }
        model.linear(&format!("{layer}/ffn/linear_1"), WIDTH, 4 * WIDTH);
    }
    model.norm("decoder/layer_0/attention");
    model.linear("decoder/layer_0/attention/linear_0", WIDTH, WIDTH);
    model.linear("decoder/layer_0/attention/linear_1", 2 * WIDTH, WIDTH);
    model.linear("decoder/layer_0/attention/linear_2", WIDTH, WIDTH);
    model
}

/// A folder as faster-whisper has them, with that `model.bin`.
fn folder(model_bin: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.bin"), model_bin).unwrap();
    fs::write(dir.path().join("vocabulary.txt"), "!\n\u{120}caf\u{c3}\u{a9}\n<|endoftext|>\n").unwrap();
    dir
}

fn converted(dir: &TempDir) -> Result<(PathBuf, ggml::Contents), ModelError> {
    let out = dir.path().join("ggml-mine.bin");
    let (weights, vocabulary) = parts_of(dir.path())?;
    convert(&weights, &vocabulary, &out)?;
    Ok((out.clone(), ggml::inspect(&out)?))
}

/// The numbers of a tensor of f32 (0) or f16 (1).
fn values(file: &[u8], tensor: &ggml::Tensor) -> Vec<f32> {
    let data = &file[tensor.offset as usize..(tensor.offset + tensor.bytes) as usize];
    match tensor.kind {
        0 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        _ => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
    }
}

#[test]
fn a_converted_model_has_every_weight_under_its_name() {
    let dir = folder(&whisper(false).file("WhisperSpec"));
    let (out, contents) = converted(&dir).unwrap();
    let file = fs::read(out).unwrap();
    assert_eq!((contents.hparams.vocabulary, contents.hparams.mels, contents.tokens), (VOCABULARY, 80, 2));
    assert_eq!(contents.hparams.languages(), 1);
    let first_of = |name: &str| values(&file, &contents.tensors[name])[0];
    // every value was the number of its row: the first one tells where a stacked matrix was cut
    for (name, row) in [
        ("encoder.blocks.0.attn.query.weight", 0.0),
        ("encoder.blocks.0.attn.key.weight", 64.0),
        ("encoder.blocks.0.attn.value.weight", 128.0),
        ("decoder.blocks.0.attn.value.bias", 128.0),
        ("decoder.blocks.0.cross_attn.key.weight", 0.0),
        ("decoder.blocks.0.cross_attn.value.weight", 64.0),
        ("decoder.blocks.0.cross_attn.value.bias", 64.0),
    ] {
        assert_eq!(first_of(name), row, "{name}");
    }
    assert!(!contents.tensors.contains_key("encoder.blocks.0.attn.key.bias"));
    let (conv, bias) = (&contents.tensors["encoder.conv1.weight"], &contents.tensors["encoder.conv1.bias"]);
    assert_eq!((conv.dims.as_slice(), conv.kind), ([3, 80, WIDTH].as_slice(), 1));
    assert_eq!((bias.dims.as_slice(), bias.kind), ([1, WIDTH].as_slice(), 0));
    assert_eq!(values(&file, bias), (0..WIDTH).map(|row| row as f32).collect::<Vec<_>>());
}

#[test]
fn a_conversion_gives_the_same_bytes_each_time() {
    let dir = folder(&whisper(false).file("WhisperSpec"));
    let first = fs::read(converted(&dir).unwrap().0).unwrap();
    assert!(first == fs::read(converted(&dir).unwrap().0).unwrap());
}

#[test]
fn quantised_weights_are_divided_by_the_scale_of_their_row() {
    let dir = folder(&whisper(true).file("WhisperSpec"));
    let (out, contents) = converted(&dir).unwrap();
    let values = values(&fs::read(out).unwrap(), &contents.tensors["encoder.blocks.0.mlp.0.weight"]);
    assert_eq!(values.chunks(WIDTH as usize).map(|row| row[0]).take(3).collect::<Vec<_>>(), [0.0, 0.25, 0.5]);
}

#[test]
fn a_truncated_model_is_an_error_that_names_the_file_and_leaves_nothing() {
    let whole = whisper(false).file("WhisperSpec");
    for cut in [0, 3, 5, 17, 30, 60, 1_000, whole.len() / 2, whole.len() - 20] {
        let dir = folder(&whole[..cut]);
        let error = converted(&dir).unwrap_err().to_string();
        assert!(error.contains("model.bin") && error.contains("at byte"), "cut at {cut}: {error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "cut at {cut}");
    }
}

#[test]
fn a_header_that_lies_is_refused_without_believing_its_lengths() {
    let head = [6_u32.to_le_bytes().to_vec(), string("WhisperSpec"), 3_u32.to_le_bytes().to_vec()].concat();
    let liar = |rest: &[&[u8]]| [head.clone(), u32::MAX.to_le_bytes().to_vec(), rest.concat()].concat();
    let (name, max) = (string("x"), u32::MAX.to_le_bytes());
    let files = [
        liar(&[]),
        // a name of 64 KiB
        liar(&[&[0xFF, 0xFF]]),
        // 255 dimensions
        liar(&[&name, &[0xFF]]),
        // a shape whose product overflows, one of no size with huge others, 4 GiB of data, an unknown type
        liar(&[&name, &[3], &max, &max, &max, &[4], &max]),
        liar(&[&name, &[3], &[0; 4], &max, &max, &[4], &[0; 4]]),
        liar(&[&name, &[1], &max, &[1], &max]),
        liar(&[&name, &[0], &[9], &[0; 4]]),
        b"GGUF, or anything else that is no CTranslate2".to_vec(),
        whisper(false).file("TransformerSpec"),
    ];
    for (index, file) in files.iter().enumerate() {
        let error = converted(&folder(file)).unwrap_err();
        assert!(matches!(error, ModelError::BadFile { .. }), "file {index}: {error}");
    }
}

#[test]
fn a_model_that_lacks_a_weight_is_named_with_it() {
    let mut model = whisper(false);
    let end = model.variables.len();
    // it is the last variable: name, rank, dimension, type, length, data
    model.variables.truncate(end - (2 + "decoder/layer_0/attention/linear_2/bias".len() + 1 + 1 + 4 + 1 + 4 + 128));
    model.count -= 1;
    let error = converted(&folder(&model.file("WhisperSpec"))).unwrap_err().to_string();
    assert!(error.contains("decoder/layer_0/attention/linear_2/bias"), "{error}");
}

#[test]
fn a_ggml_file_that_was_cut_or_changed_is_found_out_before_whisper_reads_it() {
    let dir = folder(&whisper(false).file("WhisperSpec"));
    let (out, _) = converted(&dir).unwrap();
    let whole = fs::read(&out).unwrap();
    for cut in [0, 3, 20, 47, 60, 70_000, whole.len() / 2, whole.len() - 1] {
        fs::write(&out, &whole[..cut]).unwrap();
        assert!(ggml::inspect(&out).is_err(), "cut at {cut}");
    }
    // magic, and each of the dimensions in turn
    for field in 0..12 {
        let mut changed = whole.clone();
        changed[field * 4..field * 4 + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        fs::write(&out, changed).unwrap();
        let error = ggml::inspect(&out).unwrap_err().to_string();
        assert!(error.contains("ggml-mine.bin") && error.contains("at byte"), "field {field}: {error}");
    }
}
