//! CloudWatch's Embedded Metric Format: a line of JSON in the log is metrics. No call is made, and nothing is lost while
//! CloudWatch is away.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Origin;
use super::names::{DIMENSIONS, Metric, NAMESPACE};

/// Where lines go.
#[derive(Debug)]
pub struct Sink {
    to: To,
    /// A line could not be written: said once.
    failed: AtomicBool,
}

#[derive(Debug)]
enum To {
    Stdout,
    File(File),
}

impl Sink {
    /// Among the log's lines.
    pub fn stdout() -> Self {
        Self { to: To::Stdout, failed: AtomicBool::new(false) }
    }

    /// At the end of a file, which is made where it is missing. One that is cut or moved meanwhile is no trouble.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Self { to: To::File(file), failed: AtomicBool::new(false) })
    }

    /// One write, so that lines of several threads, and of workers that share a file, do not mix.
    pub(super) fn write(&self, document: &Value) {
        let line = format!("{document}\n");
        let written = match &self.to {
            To::Stdout => io::stdout().lock().write_all(line.as_bytes()),
            To::File(file) => {
                let mut file = file;
                file.write_all(line.as_bytes())
            }
        };
        if let Err(error) = written
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "metrics cannot be written");
        }
    }
}

/// Which of a line's members are metrics, and by what they are told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Directive {
    dimensions: Vec<Vec<&'static str>>,
    metrics: Vec<Metric>,
}

impl Directive {
    /// These, by the fleet and by its parts.
    pub fn of(metrics: &[Metric]) -> Self {
        Self { dimensions: DIMENSIONS.iter().map(|set| set.to_vec()).collect(), metrics: metrics.to_vec() }
    }

    /// This one, by one dimension more.
    pub fn by(metric: Metric, dimension: &'static str) -> Self {
        Self { dimensions: vec![vec!["Fleet", dimension]], metrics: vec![metric] }
    }

    fn document(&self) -> Value {
        let metric = |metric: &Metric| json!({ "Name": metric.name(), "Unit": metric.about().unit });
        json!({
            "Namespace": NAMESPACE,
            "Dimensions": self.dimensions,
            "Metrics": self.metrics.iter().map(metric).collect::<Vec<_>>(),
        })
    }
}

/// A number as JSON has it; what is none is left at 0, for one such value would cost the whole line.
pub fn number(value: f64) -> Value {
    // more digits are noise
    json!(if value.is_finite() { (value * 1e3).round() / 1e3 } else { 0.0 })
}

/// The line.
pub fn document(origin: &Origin, directives: &[Directive], members: Map<String, Value>, now: Timestamp) -> Value {
    let Origin { fleet, model, instance_type, instance } = origin;
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": directives.iter().map(Directive::document).collect::<Vec<_>>(),
        }),
    );
    for (dimension, value) in
        [("Fleet", fleet), ("Model", model), ("InstanceType", instance_type), ("Instance", instance)]
    {
        line.insert(dimension.to_owned(), json!(value));
    }
    line.extend(members);
    Value::Object(line)
}
