//! Logs: one JSON record per line where nobody looks, readable lines on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

mod journal;
mod record;

pub use journal::marked as marked_for_journal;
use record::Record;

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// The worker: its log is its output.
    Stdout,
    /// Commands whose output is something else.
    Stderr,
    /// The engine process: JSON always, the daemon reads it.
    Daemon,
}

/// Starts logging. `RUST_LOG` overrides the filter; the default is `info`, and `warn` where a person reads a command's
/// output.
pub fn init(to: LogTo) {
    let journal = match to {
        LogTo::Stdout => journal::reads(std::io::stdout()),
        LogTo::Stderr => journal::reads(std::io::stderr()),
        LogTo::Daemon => false,
    };
    match to {
        LogTo::Stdout => start(std::io::stdout, std::io::stdout().is_terminal(), journal, "info"),
        LogTo::Stderr => start(std::io::stderr, std::io::stderr().is_terminal(), journal, "warn"),
        LogTo::Daemon => start(std::io::stderr, false, journal, "info"),
    }
}

fn start<W>(writer: W, pretty: bool, journal: bool, default_filter: &str)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env()
        // symphonia calls it a warning to skip four bytes, and an error not to know a format
        .unwrap_or_else(|_| {
            EnvFilter::new(format!("{default_filter},aws_config=warn,aws_smithy_runtime=warn,symphonia=off"))
        });
    // a line that nobody reads is lost; to complain of it, the subscriber would panic
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    if pretty {
        builder.init();
    } else {
        // the fields of spans are kept as JSON too, for the record to take
        builder.fmt_fields(JsonFields::new()).event_format(Record { journal }).init();
    }
}
