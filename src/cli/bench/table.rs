//! The figures for people.

use super::figures::Figures;

/// A line per run, under a heading.
pub fn print(runs: &[Figures], model: &str) {
    println!("model {model}");
    println!(
        "{:>5} {:>4} {:>5} {:>9} {:>8} {:>8} {:>9} {:>6} {:>7} {:>7} {:>8} {:>8} {:>7} {:>5} {:>5} {:>5}",
        "lanes",
        "jobs",
        "files",
        "audio s",
        "wall s",
        "x real",
        "decode s",
        "busy",
        "windows",
        "again",
        "daemon M",
        "engine M",
        "WER %",
        "sub",
        "del",
        "ins"
    );
    for f in runs {
        println!(
            "{:>5} {:>4} {:>5} {:>9.1} {:>8.2} {:>8.1} {:>9.2} {:>5.0}% {:>7} {:>7} {:>8.0} {:>8.0} {:>7} {:>5} {:>5} {:>5}",
            f.lanes,
            f.jobs,
            f.files,
            f.audio_secs,
            f.wall_secs,
            f.x_realtime,
            f.decode_secs,
            f.lanes_busy * 100.0,
            f.windows,
            f.windows_retried,
            f.daemon_peak_mib,
            f.engine_peak_mib,
            f.word_error_rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.2}", rate * 100.0)),
            f.errors.substituted,
            f.errors.deleted,
            f.errors.inserted,
        );
    }
    if let Some(Figures { command_ms, start_ms, first_window_ms, start_to_first_window_ms, .. }) = runs.first() {
        println!(
            "start to first window {start_to_first_window_ms} ms: command line and model {command_ms}, \
             engine ready {start_ms}, first window answered {first_window_ms}"
        );
    }
}
