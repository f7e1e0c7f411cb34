//! What facts add up to, for Prometheus.

use std::collections::BTreeMap;

use super::names::{Kind, Metric};

/// Sums of counters and histograms since the start.
#[derive(Debug, Default)]
pub struct Meters {
    counters: BTreeMap<(Metric, String), f64>,
    histograms: BTreeMap<Metric, Histogram>,
}

/// Values by size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// How many values were at most as large as each bucket's end.
    pub buckets: Vec<(f64, u64)>,
    /// Of all values.
    pub sum: f64,
    /// How many values.
    pub count: u64,
}

impl Meters {
    /// A fact's value.
    pub fn add(&mut self, metric: Metric, value: f64) {
        let Kind::Histogram(ends) = metric.about().kind else {
            *self.counters.entry((metric, String::new())).or_default() += value;
            return;
        };
        let empty = || Histogram { buckets: ends.iter().map(|end| (*end, 0)).collect(), ..Histogram::default() };
        let histogram = self.histograms.entry(metric).or_insert_with(empty);
        histogram.buckets.iter_mut().filter(|(end, _)| value <= *end).for_each(|(_, count)| *count += 1);
        histogram.sum += value;
        histogram.count += 1;
    }

    /// One more with this label.
    pub fn count(&mut self, metric: Metric, label: &str) {
        *self.counters.entry((metric, label.to_owned())).or_default() += 1.0;
    }

    /// The sum of a counter without labels.
    pub fn total(&self, metric: Metric) -> f64 {
        self.counters.get(&(metric, String::new())).copied().unwrap_or_default()
    }

    /// The counter's sums, by label.
    pub fn counters(&self, metric: Metric) -> impl Iterator<Item = (&str, f64)> {
        self.counters.iter().filter(move |((of, _), _)| *of == metric).map(|((_, label), sum)| (label.as_str(), *sum))
    }

    /// The histogram, once there was a value.
    pub fn histogram(&self, metric: Metric) -> Option<&Histogram> {
        self.histograms.get(&metric)
    }
}
