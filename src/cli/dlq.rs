//! `dlq`: the dead letters, looked at, sent again, removed.

use std::io::{self, Write};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::complain;
use crate::app::letters;
use crate::exit;
use crate::fault::Fault;
use crate::queue::dead_letters::{DeadLetter, DeadLetters};

mod process;

/// Letters that are only looked at are hidden from others for so long, should this program die meanwhile.
const LOOK: Duration = Duration::from_secs(30);
/// Letters that are worked on: time for thousands of them.
const WORK: Duration = Duration::from_secs(300);
/// Characters of a reason in the table.
const REASON_CHARS: usize = 80;

/// Arguments of `dlq`.
#[derive(Debug, clap::Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,

    /// URL of the job queue: its redrive policy names the dead-letter queue, and letters are sent back to it
    #[arg(long, global = true, env = "TRANSCRIPTION_QUEUE_URL", value_name = "URL")]
    queue_url: Option<String>,

    /// URL of the dead-letter queue [default: the one that the job queue's redrive policy names]
    #[arg(long, global = true, value_name = "URL")]
    dlq_url: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum DlqCommand {
    /// One line each: job id, code, age, receives, reason. On a FIFO queue at most ten of each group
    List {
        /// JSON Lines instead of a table
        #[arg(long)]
        json: bool,
    },
    /// The whole body and attributes of a job's letters
    Show {
        /// The job's id, as `list` shows it
        job_id: String,
    },
    /// Send letters to the job queue again, as new messages
    Redrive {
        #[command(flatten)]
        which: Which,
    },
    /// Deal with all letters: send again what may pass, keep the others in S3, tell people where they must act
    Process(process::ProcessArgs),
    /// Remove letters for good
    Purge {
        #[command(flatten)]
        which: Which,
        /// Yes, remove them
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The letters of this job
    #[arg(long, value_name = "ID")]
    job_id: Option<String>,

    /// All letters
    #[arg(long)]
    all: bool,
}

/// Runs the command: 1 when there is no such job or a letter could not be dealt with.
pub async fn main(args: DlqArgs) -> u8 {
    if let DlqCommand::Process(process) = &args.command {
        return deal(process, args.queue_url.as_deref(), args.dlq_url.as_deref()).await;
    }
    let letters = match letters::open(args.queue_url.as_deref(), args.dlq_url.as_deref()).await {
        Ok(letters) => letters,
        Err(message) => return complain(&message, exit::CONFIG),
    };
    let hold = match args.command {
        DlqCommand::List { .. } | DlqCommand::Show { .. } => LOOK,
        DlqCommand::Redrive { .. } | DlqCommand::Purge { .. } | DlqCommand::Process(_) => WORK,
    };
    let taken = match letters.take(hold).await {
        Ok(taken) => taken,
        Err(fault) => return complain(&sentence(fault), exit::UNAVAILABLE),
    };
    let which = match &args.command {
        DlqCommand::List { .. } | DlqCommand::Process(_) => None,
        DlqCommand::Show { job_id } => Some(job_id),
        DlqCommand::Redrive { which } | DlqCommand::Purge { which, .. } => which.job_id.as_ref(),
    };
    let (chosen, others): (Vec<_>, Vec<_>) =
        taken.into_iter().partition(|letter| which.is_none_or(|job_id| letter.job_ids().contains(job_id)));
    letters.release(&others).await;
    if let (Some(job_id), true) = (which, chosen.is_empty()) {
        return complain(&format!("no dead letter of job {job_id}; `dlq list` shows all"), exit::FAILED);
    }
    match args.command {
        // dealt with above
        DlqCommand::Process(_) => exit::OK,
        DlqCommand::List { json } => {
            letters.release(&chosen).await;
            print(if json { json_lines(&chosen) } else { table(&chosen) })
        }
        DlqCommand::Show { .. } => {
            letters.release(&chosen).await;
            print(chosen.iter().map(|letter| format!("{:#}\n", document(letter))).collect())
        }
        DlqCommand::Redrive { .. } => each(&letters, &chosen, "redriven", async |l| letters.redrive(l).await).await,
        DlqCommand::Purge { yes: true, .. } => {
            each(&letters, &chosen, "removed", async |l| letters.remove(l).await).await
        }
        DlqCommand::Purge { yes: false, .. } => {
            letters.release(&chosen).await;
            complain(&format!("{} dead letters would be removed for good: say --yes", chosen.len()), exit::USAGE)
        }
    }
}

/// Opens the processor and gives it all letters.
async fn deal(args: &process::ProcessArgs, jobs_url: Option<&str>, dead_url: Option<&str>) -> u8 {
    let processor = match process::open(args, jobs_url, dead_url).await {
        Ok(processor) => processor,
        Err(message) => return complain(&message, exit::CONFIG),
    };
    match processor.letters.take(WORK).await {
        Ok(taken) => process::run(processor, taken, args.dry_run).await,
        Err(fault) => complain(&sentence(fault), exit::UNAVAILABLE),
    }
}

/// Does it to each letter, says so on a line each, and releases those it could not be done to.
async fn each(
    letters: &DeadLetters,
    chosen: &[DeadLetter],
    done: &str,
    act: impl AsyncFn(&DeadLetter) -> Result<(), Fault>,
) -> u8 {
    let at_once = match letters.at_once().await {
        Ok(at_once) => at_once,
        Err(fault) => return complain(&sentence(fault), exit::UNAVAILABLE),
    };
    let one = async |letter: &DeadLetter| match act(letter).await {
        Ok(()) => {
            println!("{done} {}", letter.job_ids().join(","));
            exit::OK
        }
        Err(fault) => {
            letters.release([letter]).await;
            complain(&sentence(fault), exit::FAILED)
        }
    };
    let statuses = stream::iter(chosen).map(one).buffered(at_once);
    statuses.fold(exit::OK, async |worst, status| worst.max(status)).await
}

fn sentence(fault: Fault) -> String {
    match fault {
        Fault::Permanent(problem) | Fault::Transient(problem) | Fault::Unable(problem) => problem.message,
        other => other.to_string(),
    }
}

fn print(text: String) -> u8 {
    // a reader that closes the pipe early, such as `head`, has what it wanted
    let _ = io::stdout().write_all(text.as_bytes());
    exit::OK
}

fn table(letters: &[DeadLetter]) -> String {
    let mut rows = vec![["JOB", "CODE", "AGE", "RECEIVES", "REASON"].map(str::to_owned)];
    rows.extend(letters.iter().map(|letter| {
        [
            shown(&letter.job_ids().join(",")),
            shown(letter.code()),
            age(letter.sent_at_ms, jiff::Timestamp::now().as_millisecond()),
            letter.receive_count.to_string(),
            shown(letter.reason()).chars().take(REASON_CHARS).collect(),
        ]
    }));
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths = [0, 1, 2, 3].map(|column| width(column).unwrap_or_default());
    let line = |[job, code, age, receives, reason]: &[String; 5]| {
        let [a, b, c, d] = widths;
        format!("{job:<a$}  {code:<b$}  {age:>c$}  {receives:>d$}  {reason}\n")
    };
    rows.iter().map(line).collect()
}

fn json_lines(letters: &[DeadLetter]) -> String {
    letters.iter().map(|letter| format!("{}\n", summary(letter))).collect()
}

fn summary(letter: &DeadLetter) -> Value {
    json!({
        "jobIds": letter.job_ids(),
        "code": letter.code(),
        "message": letter.reason(),
        "sentAt": jiff::Timestamp::from_millisecond(letter.sent_at_ms).map(|time| time.to_string()).ok(),
        "receiveCount": letter.receive_count,
        "messageId": letter.id,
    })
}

fn document(letter: &DeadLetter) -> Value {
    let mut document = summary(letter);
    document["group"] = json!(letter.group);
    document["attributes"] = json!(letter.attributes);
    // as JSON where it is, for it is to be read
    document["body"] = serde_json::from_str(&letter.body).unwrap_or_else(|_| json!(letter.body));
    document
}

/// What a producer wrote, fit for a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The largest unit that counts at least one.
fn age(sent_at_ms: i64, now_ms: i64) -> String {
    let secs = now_ms.saturating_sub(sent_at_ms).max(0) / 1000;
    match secs {
        _ if sent_at_ms == 0 => "-".to_owned(),
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..86_400 => format!("{} h", secs / 3_600),
        _ => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let now = 10_000_000_000;
        for (secs, told) in [(59, "59 s"), (60, "1 min"), (7_199, "1 h"), (86_400, "1 d"), (-5, "0 s")] {
            assert_eq!(age(now - secs * 1000, now), told);
        }
        assert_eq!(age(0, now), "-", "unknown");
    }

    #[test]
    fn what_a_producer_wrote_cannot_drive_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a [2Jb ");
    }
}
