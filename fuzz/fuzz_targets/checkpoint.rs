//! Any bytes as a checkpoint, whole or as its windows: refused with a reason, or windows that can be placed and saved again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transcription_worker::audio::{Found, Span, WINDOWING, Window};
use transcription_worker::checkpoint::{self, Binding, VERSION};
use transcription_worker::job::Channels;
use transcription_worker::transcribe::{LISTENING, placement};
use transcription_worker::transcribe::wire::WindowOptions;

fuzz_target!(|bytes: &[u8]| {
    let ours = Binding {
        job_id: "j1".to_owned(),
        etag: "e1".to_owned(),
        model: "abc".to_owned(),
        options: WindowOptions::default(),
        channels: Channels::Mix,
        clip: None,
        windowing: WINDOWING,
        listening: LISTENING,
    };
    // the binding would stop nearly everything: once the bytes stand behind a right one
    let bound = serde_json::to_string(&ours).expect("it is plain data");
    let head = format!(r#"{{"version":{VERSION},"binding":{bound},"windows":"#);
    let behind = [head.as_bytes(), bytes, b"}"].concat();
    for document in [bytes, &behind] {
        let windows = match checkpoint::parse(document, &ours) {
            Ok(windows) => windows,
            Err(why) => {
                assert!(!why.is_empty());
                continue;
            }
        };
        for window in &windows {
            for segment in placement::place(&two_seconds_of_voice(), &window.text) {
                assert!(segment.start.is_finite() && segment.start <= segment.end, "{segment:?}");
                let words = segment.words.iter();
                assert!(words.into_iter().all(|word| word.probability.is_finite()), "{segment:?}");
            }
        }
        let again = checkpoint::encode(&ours, windows.iter()).expect("it was read from JSON");
        assert_eq!(checkpoint::parse(&again, &ours), Ok(windows));
    }
});

fn two_seconds_of_voice() -> Window {
    let spans = [(0, 0), (16_000, 40_000)];
    let spans = spans.map(|(window_start, source_start)| Span { window_start, source_start, len: 16_000 });
    Window { index: 0, channel: None, pcm: Vec::new(), spans: spans.to_vec(), found: Found::Voice }
}
