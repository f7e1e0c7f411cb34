//! What is measured. A fact is told once, where it happens ([`Metrics::job_done`], [`Metrics::job_failed`]): it is the log
//! line, the metrics of CloudWatch ([`emf`]) and the samples of Prometheus ([`prometheus`]) alike. What is so at a moment
//! (jobs in flight, health, room) is read each minute, and whenever somebody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};

use emf::{Directive, Sink};
pub use facts::{JobDone, JobFailed};
use meters::Meters;
pub use names::Metric;

pub mod emf;
mod facts;
mod meters;
pub mod names;
pub mod prometheus;

#[cfg(test)]
mod tests;

/// Whose measurements these are: the dimensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The fleet that this worker belongs to.
    pub fleet: String,
    /// The model it serves.
    pub model: String,
    /// The kind of machine, such as `g6.xlarge`; `none` where it is no instance.
    pub instance_type: String,
    /// This machine. No dimension: each value would be paid for.
    pub instance: String,
}

/// A value that was read, of one GPU or the like where there are several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// What it is. Of a counter, the value is all since the start.
    pub metric: Metric,
    /// The value.
    pub value: f64,
    /// Which of several.
    pub of: Option<usize>,
}

/// Everything that is measured. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    origin: Origin,
    sink: Option<Sink>,
    meters: Mutex<Meters>,
    /// Counters as they were at the last minute.
    before: Mutex<BTreeMap<Metric, f64>>,
}

impl Metrics {
    /// Measurements of this origin, which CloudWatch gets by `sink`.
    pub fn new(origin: Origin, sink: Option<Sink>) -> Self {
        Self(Arc::new(Inner { origin, sink, ..Inner::default() }))
    }

    /// Whose they are.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// A job is done. Called within the message's span, which carries its ids.
    pub fn job_done(&self, job: &JobDone) {
        job.log();
        self.meters().add(Metric::ResumedSeconds, job.resumed_secs);
        self.measure(&job.samples(), &[(Metric::Jobs, job.status.word())], job.members());
    }

    /// A job failed, and will not be tried again: its producer was told. Called likewise.
    pub fn job_failed(&self, job: &JobFailed<'_>) {
        job.log();
        let code = job.code.to_string();
        self.measure(&job.samples(), &[(Metric::Jobs, "failed"), (Metric::Failures, &code)], job.members());
    }

    /// All since the start of what facts count by themselves.
    pub fn total(&self, metric: Metric) -> f64 {
        self.meters().total(metric)
    }

    /// Tells CloudWatch what is so, and how far each counter has come since this was last told.
    pub fn minute(&self, readings: &[Reading]) {
        let mut values: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
        for reading in readings {
            let value = if reading.metric.is_counter() { self.since_before(reading) } else { reading.value };
            values.entry(reading.metric).or_default().push(value);
        }
        let members = values.iter().map(|(metric, values)| {
            // one of several GPUs is a value of its own, all under one name
            let value = if let [one] = values[..] {
                emf::number(one)
            } else {
                values.iter().copied().map(emf::number).collect()
            };
            (metric.name().to_owned(), value)
        });
        let members: Map<String, Value> = members.collect();
        let metrics: Vec<Metric> = values.into_keys().collect();
        self.write(&[Directive::of(&metrics)], members);
    }

    /// Everything as Prometheus reads it.
    pub fn prometheus(&self, readings: &[Reading]) -> String {
        prometheus::render(&self.0.origin, &self.meters(), readings)
    }

    /// Adds the samples of one fact, and those of it that are counted by a label.
    fn measure(&self, samples: &[(Metric, f64)], labelled: &[(Metric, &str)], mut members: Map<String, Value>) {
        let mut meters = self.meters();
        for (metric, value) in samples {
            meters.add(*metric, *value);
            members.insert(metric.name().to_owned(), emf::number(*value));
        }
        let of_labels = labelled.iter().map(|(metric, _)| *metric);
        let all: Vec<Metric> = samples.iter().map(|(metric, _)| *metric).chain(of_labels).collect();
        let mut directives = vec![Directive::of(&all)];
        for (metric, label) in labelled {
            meters.count(*metric, label);
            members.insert(metric.name().to_owned(), emf::number(1.0));
            if let Some(by) = metric.by() {
                members.insert(by.to_owned(), Value::from(*label));
                directives.push(Directive::by(*metric, by));
            }
        }
        drop(meters);
        self.write(&directives, members);
    }

    fn write(&self, directives: &[Directive], members: Map<String, Value>) {
        if let Some(sink) = &self.0.sink {
            sink.write(&emf::document(&self.0.origin, directives, members, Timestamp::now()));
        }
    }

    /// How much of a counter came since this was last asked.
    fn since_before(&self, reading: &Reading) -> f64 {
        let mut before = self.0.before.lock().unwrap_or_else(PoisonError::into_inner);
        reading.value - before.insert(reading.metric, reading.value).unwrap_or_default()
    }

    fn meters(&self) -> MutexGuard<'_, Meters> {
        // a panic while one number is added leaves the others whole
        self.0.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
