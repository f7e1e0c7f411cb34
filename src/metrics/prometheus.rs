//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use super::meters::Meters;
use super::names::{Kind, Metric};
use super::{Origin, Reading};

/// What `Content-Type` says of it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that was measured, and what was read just now.
pub fn render(origin: &Origin, meters: &Meters, readings: &[Reading]) -> String {
    let mut text = String::new();
    info(&mut text, origin);
    for metric in Metric::ALL {
        let about = metric.about();
        let mut samples = String::new();
        match about.kind {
            Kind::Histogram(_) => histogram(&mut samples, metric, meters),
            Kind::Counter | Kind::Gauge => {
                let read = readings.iter().filter(|reading| reading.metric == metric);
                let mut known = false;
                for Reading { value, of, .. } in read {
                    known = true;
                    let labels = of.map(|of| format!("{{gpu=\"{of}\"}}")).unwrap_or_default();
                    // a share, as Prometheus wants it
                    let value = if about.unit == "Percent" { value / 100.0 } else { *value };
                    line(&mut samples, about.prometheus, &labels, value);
                }
                if !known {
                    for (label, sum) in meters.counters(metric) {
                        line(&mut samples, about.prometheus, &labels(metric, label), sum);
                    }
                }
            }
        }
        if samples.is_empty() {
            continue;
        }
        let kind = match about.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        // a String takes all that is written
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n{samples}", about.help, name = about.prometheus);
    }
    text
}

/// What a worker is, as a metric that is always 1.
fn info(text: &mut String, origin: &Origin) {
    let name = "transcription_worker_info";
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("fleet", &origin.fleet),
        ("model", &origin.model),
        ("instance_type", &origin.instance_type),
        ("instance", &origin.instance),
    ];
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let _ = write!(text, "# HELP {name} What this worker is.\n# TYPE {name} gauge\n");
    line(text, name, &format!("{{{}}}", labels.join(",")), 1.0);
}

fn histogram(text: &mut String, metric: Metric, meters: &Meters) {
    let Some(histogram) = meters.histogram(metric) else { return };
    let name = metric.about().prometheus;
    for (end, count) in &histogram.buckets {
        line(text, &format!("{name}_bucket"), &format!("{{le=\"{end}\"}}"), *count as f64);
    }
    line(text, &format!("{name}_bucket"), "{le=\"+Inf\"}", histogram.count as f64);
    line(text, &format!("{name}_sum"), "", histogram.sum);
    line(text, &format!("{name}_count"), "", histogram.count as f64);
}

fn labels(metric: Metric, label: &str) -> String {
    match metric.by() {
        Some("Status") => format!("{{status=\"{}\"}}", escaped(label)),
        Some(_) => format!("{{code=\"{}\"}}", escaped(label)),
        None => String::new(),
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(text, "{name}{labels} {value}");
}

/// A label's value, quotes and line breaks made safe.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
