//! Logs: one JSON record per line where nobody looks, readable lines on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
    match to {
        LogTo::Stdout => start(std::io::stdout, std::io::stdout().is_terminal(), "info"),
        LogTo::Stderr => start(std::io::stderr, std::io::stderr().is_terminal(), "warn"),
        LogTo::Daemon => start(std::io::stderr, false, "info"),
    }
}

fn start<W>(writer: W, pretty: bool, default_filter: &str)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env()
        // symphonia calls it a warning to skip four bytes, and an error not to know a format
        .unwrap_or_else(|_| {
            EnvFilter::new(format!("{default_filter},aws_config=warn,aws_smithy_runtime=warn,symphonia=off"))
        });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if pretty {
        builder.init();
    } else {
        builder.json().with_current_span(true).with_span_list(false).init();
    }
}
