//! `/status` as a page: one document without anything from elsewhere, made anew every few seconds.

use std::fmt::{self, Write};

use crate::status::{EngineView, FailureView, JobView, Phase, View};

/// Seconds until it is asked for again.
const REFRESH_SECS: u32 = 5;

/// How it looks.
pub const STYLE: &str = include_str!("page.css");

/// The page.
pub fn render(view: &View) -> String {
    let mut page = String::new();
    // a String takes all that is written
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECS}\"><link rel=\"stylesheet\" href=\"/style.css\"></head><body>",
        title = Safe(&format!("{}: {} at work", view.instance, view.jobs.len())),
    );
    head(&mut page, view);
    list(&mut page, "Jobs", "No job is at work.", &view.jobs, job);
    list(&mut page, "Engines", "No engine is ready yet.", &view.engines, engine);
    list(&mut page, "Last failures", "Nothing failed.", &view.failures, failure);
    page.push_str(
        "<p class=\"dim\">The same as <a href=\"/status\">JSON</a>, and for <a href=\"/metrics\">Prometheus</a>.</p></body></html>\n",
    );
    page
}

fn head(page: &mut String, view: &View) {
    let phase = match view.phase {
        Phase::Loading => "loading",
        Phase::Working => "working",
        Phase::Suspect => "suspect",
        Phase::Sick => "sick",
        Phase::Draining => "draining",
    };
    let _ = write!(page, "<h1>{} <span class=\"phase {phase}\">{phase}</span></h1>", Safe(&view.instance));
    if let Some(reason) = &view.reason {
        let _ = write!(page, "<p class=\"{phase}\">{}</p>", Safe(reason));
    }
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let messages = &view.messages;
    let figures = [
        ("Model", view.model.clone()),
        ("Fleet", view.fleet.clone()),
        ("Machine", view.instance_type.clone()),
        ("Version", view.version.to_owned()),
        ("Up", span(view.up_seconds)),
        ("Room for downloads", view.scratch_free_bytes.map_or_else(|| "unknown".to_owned(), gib)),
        ("Windows waiting", view.windows_queued.to_string()),
        ("Messages done", messages.done.to_string()),
        ("Failed", messages.failed.to_string()),
        ("To be tried again", messages.retried.to_string()),
        ("Given back", messages.released.to_string()),
        ("Lost", messages.lost.to_string()),
    ];
    page.push_str("<dl>");
    for (name, value) in figures {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Safe(&value));
    }
    page.push_str("</dl>");
}

fn list<T>(page: &mut String, title: &str, none: &str, items: &[T], item: impl Fn(&mut String, &T)) {
    let _ = write!(page, "<h2>{title}</h2>");
    if items.is_empty() {
        let _ = write!(page, "<p class=\"dim\">{none}</p>");
        return;
    }
    page.push_str("<ul>");
    for each in items {
        page.push_str("<li>");
        item(page, each);
        page.push_str("</li>");
    }
    page.push_str("</ul>");
}

fn job(page: &mut String, job: &JobView) {
    let JobView { job_id, source, attempt, stage, since, processed, duration, percent } = job;
    let _ = write!(page, "<p><code>{}</code> {stage}", Safe(job_id));
    if let (Some(percent), Some(duration)) = (percent, duration) {
        let _ = write!(
            page,
            " {percent} % ({processed} s of {duration} s)</p><progress max=\"100\" value=\"{percent}\">{percent} %</progress>"
        );
    } else if *processed > 0.0 {
        let _ = write!(page, " ({processed} s done)</p>");
    } else {
        page.push_str("</p>");
    }
    let _ = write!(page, "<p class=\"dim\">{} · attempt {attempt}, since {since}</p>", Safe(source));
}

fn engine(page: &mut String, engine: &EngineView) {
    let EngineView { pid, lanes, lanes_busy, windows, restarts } = engine;
    let state = if *lanes == 0 { "lost".to_owned() } else { format!("{lanes_busy} of {lanes} lanes busy") };
    let _ = write!(page, "<p>{state}</p><p class=\"dim\">process {pid}, {windows} windows, {restarts} restarts</p>");
}

fn failure(page: &mut String, failure: &FailureView) {
    let FailureView { at, job_id, code, message } = failure;
    let _ = write!(page, "<p><code>{code}</code> {}</p>", Safe(message));
    let _ = write!(page, "<p class=\"dim\"><code>{}</code> · {at}</p>", Safe(job_id));
}

fn span(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..86_400 => format!("{} h {} min", secs / 3_600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3_600 % 24),
    }
}

/// What a producer wrote, as text of a page.
struct Safe<'a>(&'a str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}
