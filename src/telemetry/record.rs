//! One log line as a flat JSON record: time, level, message, then what the event and its spans say, all at the top, so that
//! a query names `job_id` and `audio_secs` as they are.

use std::fmt::{self, Debug};

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::journal;

/// Decimals of a number: milliseconds of seconds.
const DECIMALS: f64 = 1e3;

/// What the bridge of the crate `log` puts into an event beside its message.
const BRIDGE: &str = "log.";

/// The format.
pub struct Record {
    /// Whether each line begins with its priority, for systemd's journal.
    pub journal: bool,
}

impl<S, N> FormatEvent<S, N> for Record
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Fields::default();
        // from the outermost span to the event: what is nearer holds
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map(|fields| fields.fields.as_str());
            let fields: Option<Map<String, Value>> = fields.and_then(|json| serde_json::from_str(json).ok());
            said.0.extend(fields.unwrap_or_default());
        }
        event.record(&mut said);
        let meta = event.metadata();
        let target = said.0.remove("log.target");
        let line = Line {
            timestamp: format!("{:.3}", Timestamp::now()),
            level: meta.level().as_str(),
            message: said.0.remove("message").unwrap_or_default(),
            target: target.as_ref().and_then(Value::as_str).unwrap_or(meta.target()),
            said: said.0,
        };
        if self.journal {
            to.write_str(journal::prefix(*meta.level()))?;
        }
        writeln!(to, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// In the order in which a person reads it.
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: Value,
    target: &'a str,
    said: Map<String, Value>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        map.serialize_entry("level", self.level)?;
        map.serialize_entry("message", &self.message)?;
        for (name, value) in &self.said {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("target", self.target)?;
        map.end()
    }
}

/// What an event says, by name.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn say(&mut self, field: &Field, value: impl Into<Value>) {
        // a record has one level, one time and one target
        let name = match field.name() {
            name @ ("timestamp" | "level" | "target") => format!("{name}_"),
            name => name.strip_prefix("r#").unwrap_or(name).to_owned(),
        };
        if !name.starts_with(BRIDGE) || name == "log.target" {
            self.0.insert(name, value.into());
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // what is no number is null in JSON
        self.say(field, (value * DECIMALS).round() / DECIMALS);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.say(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.say(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.say(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.say(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.say(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::field::Empty;
    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `act` runs.
    fn written(journal: bool, act: impl FnOnce()) -> String {
        let memory = Memory::default();
        let sink = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || sink.clone())
            .fmt_fields(JsonFields::new())
            .event_format(Record { journal })
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_a_query_asks_for_is_at_the_top_and_numbers_are_short() {
        let line = written(false, || {
            let span = tracing::info_span!("message", message_id = "m-1", receive_count = 2_u32, job_id = Empty);
            let _inside = span.enter();
            span.record("job_id", "j-1");
            let (nothing, forever) = (None::<f64>, f64::INFINITY);
            tracing::info!(
                audio_secs = 10.999_999_999_999_972,
                queue_wait_secs = nothing,
                x = forever,
                level = 7,
                "job done"
            );
        });
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["job_id"], "j-1", "{line}");
        assert_eq!((&record["message_id"], &record["receive_count"]), (&Value::from("m-1"), &Value::from(2)));
        assert_eq!((&record["message"], &record["level"]), (&Value::from("job done"), &Value::from("INFO")));
        assert_eq!(
            (&record["audio_secs"], &record["x"], &record["level_"]),
            (&Value::from(11.0), &Value::Null, &Value::from(7))
        );
        assert!(record.get("queue_wait_secs").is_none(), "what is not known is not there: {line}");
        assert!(line.starts_with("{\"timestamp\":\"2") && line.ends_with("}\n"), "{line}");
    }

    #[test]
    fn the_event_has_the_last_word_about_its_spans_fields() {
        let line = written(false, || {
            let _inside = tracing::info_span!("message", job_id = "outer").entered();
            tracing::error!(job_id = "inner", "failed for good");
        });
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["job_id"], "inner");
    }

    #[test]
    fn the_journal_is_told_how_grave_a_line_is() {
        let lines = written(true, || {
            tracing::error!("a");
            tracing::warn!("b");
            tracing::info!("c");
        });
        let marks: Vec<&str> = lines.lines().map(|line| &line[..3]).collect();
        assert_eq!(marks, ["<3>", "<4>", "<6>"], "{lines}");
    }
}
