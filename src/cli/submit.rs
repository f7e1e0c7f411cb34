//! `submit`: sends a job to the queue.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::clip::ClipArgs;
use super::complain;
use super::subtitles::SubtitleArgs;
use super::wording::{WordingArgs, pair};
use crate::app::places;
use crate::exit;
use crate::fault::Fault;
use crate::job::message::{self, Intake};
use crate::job::{Channels, Format, Task};
use crate::queue::folder;

/// Arguments of `submit`.
#[derive(Debug, clap::Args)]
pub struct SubmitArgs {
    /// The audio: `s3://bucket/key`; with --folder, a local file to be copied into the inbox
    #[arg(value_name = "S3_URI|FILE")]
    input: String,

    /// URL of the SQS queue
    #[arg(
        long,
        env = "TRANSCRIPTION_QUEUE_URL",
        value_name = "URL",
        conflicts_with = "folder",
        required_unless_present = "folder"
    )]
    queue_url: Option<String>,

    /// The folder that a `run --folder` works on
    #[arg(long, env = "TRANSCRIPTION_FOLDER", value_name = "DIR")]
    folder: Option<PathBuf>,

    /// Job id [default: derived from the input]
    #[arg(long)]
    job_id: Option<String>,

    /// User id
    #[arg(long)]
    user_id: Option<String>,

    /// File id
    #[arg(long)]
    file_id: Option<String>,

    /// Where the JSON goes: `s3://bucket/key.json`; the other formats go beside it
    #[arg(long, value_name = "S3_URI")]
    output: Option<String>,

    /// Spoken language, or `auto`
    #[arg(long)]
    language: Option<String>,

    /// The languages that are spoken, to decide between
    #[arg(long, value_delimiter = ',', value_name = "CODE,…")]
    languages: Option<Vec<String>>,

    /// Transcribe or translate
    #[arg(long, value_enum)]
    task: Option<Task>,

    /// Words to expect
    #[arg(long)]
    prompt: Option<String>,

    /// What to write
    #[arg(long, value_enum, value_delimiter = ',')]
    formats: Option<Vec<Format>>,

    /// Times for each word
    #[arg(long)]
    word_timestamps: bool,

    /// Mix or separate
    #[arg(long, value_enum)]
    channels: Option<Channels>,

    /// Its weight beside the other jobs of its tenant; 1 is the usual
    #[arg(long, value_name = "1-10", value_parser = clap::value_parser!(u8).range(1..=10))]
    priority: Option<u8>,

    /// Given back in every event of the job; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// Given back in every event of the job
    #[arg(long, value_delimiter = ',', value_name = "TAG,…")]
    tags: Vec<String>,

    #[command(flatten)]
    clip: ClipArgs,

    #[command(flatten)]
    wording: WordingArgs,

    #[command(flatten)]
    subtitles: SubtitleArgs,
}

impl SubmitArgs {
    /// The fields of the message that were asked for.
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("s3_input_path", Some(json!(self.input)));
        put("job_id", self.job_id.as_ref().map(|v| json!(v)));
        put("user_id", self.user_id.as_ref().map(|v| json!(v)));
        put("file_id", self.file_id.as_ref().map(|v| json!(v)));
        put("s3_output_path", self.output.as_ref().map(|v| json!(v)));
        put("language", self.language.as_ref().map(|v| json!(v)));
        put("languages", self.languages.as_ref().map(|v| json!(v)));
        put("task", self.task.map(|v| json!(v)));
        put("prompt", self.prompt.as_ref().map(|v| json!(v)));
        put("formats", self.formats.as_ref().map(|v| json!(v)));
        put("word_timestamps", self.word_timestamps.then_some(json!(true)));
        put("channels", self.channels.map(|v| json!(v)));
        put("priority", self.priority.map(|v| json!(v)));
        let metadata: BTreeMap<_, _> = self.metadata.iter().cloned().collect();
        put("metadata", (!metadata.is_empty()).then(|| json!(metadata)));
        put("tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        body.extend(self.clip.fields());
        body.extend(self.wording.fields());
        body.extend(self.subtitles.fields());
        body
    }
}

/// Runs the command: checks the job as the worker would, sends it, prints the job id and the message id.
pub async fn main(args: SubmitArgs) -> u8 {
    let body = args.body();
    if let Some(folder) = &args.folder {
        if body.len() > 1 {
            return complain("a file in a folder has the options of its worker: give them to `run`", exit::USAGE);
        }
        return match folder::submit(folder, args.input.as_ref()) {
            Ok(placed) => {
                println!("{}", placed.display());
                exit::OK
            }
            Err(e) => complain(&format!("failed to put {} into {}: {e}", args.input, folder.display()), exit::FAILED),
        };
    }
    let body = Value::Object(body).to_string();
    let job = match message::read(&body) {
        Ok(Intake::Jobs { jobs, .. }) => jobs.into_iter().next(),
        Ok(Intake::Elsewhere(_) | Intake::Ignored(_)) => None,
        Err(Fault::Permanent(problem)) => return complain(&problem.message, exit::USAGE),
        Err(fault) => return complain(&fault.to_string(), exit::USAGE),
    };
    let (Some(job), Some(queue_url)) = (job, &args.queue_url) else {
        return complain("there is no job in this", exit::USAGE);
    };
    let sent = match places::sqs(queue_url).await {
        Ok(queue) => queue.send(&body, Some(&job.user_id)).await.map_err(|fault| fault.to_string()),
        Err(message) => Err(message),
    };
    match sent {
        Ok(message_id) => {
            println!("{} sent as message {message_id}", job.id);
            exit::OK
        }
        Err(message) => complain(&message, exit::UNAVAILABLE),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SubmitArgs,
    }

    fn parsed(options: &str) -> SubmitArgs {
        let line = format!("submit s3://b/talk.mp3 {options}");
        Line::try_parse_from(line.split(' ')).unwrap().args
    }

    #[test]
    fn what_a_job_may_ask_for_can_be_asked_for_by_hand() {
        let args = parsed(
            "--queue-url q --priority 3 --metadata order=17 --metadata court=a=b --tags legal,urgent --cue-lines 1 \
             --end-secs 60 --redact email",
        );
        let Ok(Intake::Jobs { jobs, .. }) = message::read(&Value::Object(args.body()).to_string()) else {
            panic!("it is no job")
        };
        let job = &jobs[0];
        assert_eq!(job.options.priority, Some(3));
        assert_eq!(job.echo.metadata, Some(json!({ "order": "17", "court": "a=b" })));
        assert_eq!(job.echo.tags, Some(json!(["legal", "urgent"])));
        assert_eq!(job.options.subtitles.map(|layout| (layout.lines, layout.line_chars)), Some((1, 42)));
        assert_eq!(job.options.clip.map(|clip| clip.end()), Some(60.0));
        assert!(!job.options.wording.redact.is_empty());
    }

    #[tokio::test]
    async fn a_file_for_a_folder_takes_no_options_that_nobody_would_read() {
        let folder = tempfile::tempdir().unwrap();
        let args = parsed(&format!("--folder {} --language de", folder.path().display()));
        assert_eq!(main(args).await, exit::USAGE);
    }
}
