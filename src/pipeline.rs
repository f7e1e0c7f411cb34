//! The way of one job: is it done already? -> fetch -> decode and transcribe -> store -> publish. Knows audio and text,
//! nothing of queues, signals or spot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::audio::AudioOptions;
use crate::checkpoint::keeper::{self, Keeper};
use crate::checkpoint::{self, Binding};
use crate::fault::{Code, Fault, Problem};
use crate::fetch::{self, FetchLimits, Scratch};
use crate::handler::{Control, Delivery, Handled, Handler, Letter};
use crate::job::allow::AllowList;
use crate::job::message::{self, Identity, Intake};
use crate::job::{Job, JobOptions};
use crate::model::Model;
use crate::objects::Objects;
use crate::publish::{Publish, Status, TranscriptLocation, TranscriptionCompleted};
use crate::store::Store;
use crate::transcribe::Transcriber;
use crate::transcribe::wire::WindowOptions;
use crate::transcript::{JobRef, ModelRef, SourceRef, Timings, Transcript, VERSION, WorkerRef, text, tidy};
use crate::watchdog::Progress;
use listen::{Heard, Listening, Resume, Resumed};
use poison::{PoisonGuard, Run};

pub mod listen;
pub mod poison;

/// What a job gets where it asks for nothing else.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// How to decode.
    pub audio: AudioOptions,
    /// Language, task, prompt, beam.
    pub window: WindowOptions,
    /// Words with times.
    pub word_timestamps: bool,
}

/// The flow, with everything it works on.
pub struct Pipeline {
    /// Where audio comes from.
    pub objects: Arc<dyn Objects>,
    /// Where events go.
    pub publisher: Arc<dyn Publish>,
    /// Where transcripts go.
    pub store: Store,
    /// The engines.
    pub transcriber: Arc<Transcriber>,
    /// The weights they run.
    pub model: Model,
    /// Where downloads lie meanwhile.
    pub scratch: Scratch,
    /// How much is downloaded.
    pub limits: FetchLimits,
    /// What a job gets where it asks for nothing else.
    pub defaults: Defaults,
    /// Between two saves of a running job's checkpoint; `None` saves none.
    pub checkpoint_every: Option<Duration>,
    /// The places that jobs may name.
    pub allow: AllowList,
    /// Keeps a job from taking one worker down after the other.
    pub poison: PoisonGuard,
    /// Named in each transcript.
    pub worker: WorkerRef,
    /// Told of every step, for the watchdog.
    pub progress: Progress,
}

#[async_trait]
impl Handler for Pipeline {
    async fn handle(&self, delivery: &Delivery, control: &Control) -> Result<Handled, Fault> {
        let (jobs, refused) = match self.intake(delivery).await? {
            Intake::Jobs { jobs, refused } => (jobs, refused),
            Intake::Ignored(why) => {
                tracing::info!("message acknowledged without work: {why}");
                return Ok(Handled::default());
            }
            Intake::Elsewhere(at) => {
                let message = format!("what the message points to points to {at} again");
                return Err(Fault::permanent(Code::BadMessage, message));
            }
        };
        let several = jobs.len() + refused.len() > 1;
        for job in &jobs {
            tracing::Span::current().record("job_id", job.id.as_str());
            match self.run(job, delivery, control).await {
                Err(Fault::Permanent(problem)) if several => {
                    // the message's other jobs are not to suffer for it
                    tracing::error!(job_id = %job.id, code = %problem.code, "{}", problem.message);
                    self.publisher.publish(&TranscriptionCompleted::failed(&Identity::from(job), &problem)).await?;
                }
                result => result?,
            }
        }
        let mut letters = Vec::new();
        for record in refused {
            let identity = record.identity(&delivery.message_id);
            tracing::error!(job_id = %identity.job_id, code = %record.problem.code, "{}", record.problem.message);
            self.publisher.publish(&TranscriptionCompleted::failed(&identity, &record.problem)).await?;
            letters.push(Letter { body: record.body, problem: record.problem });
        }
        Ok(Handled { letters })
    }

    async fn report(&self, delivery: &Delivery, problem: &Problem, _: &Control) -> Result<(), Fault> {
        let identities = match self.intake(delivery).await {
            Ok(Intake::Jobs { jobs, .. }) => jobs.iter().map(Identity::from).collect(),
            _ => vec![message::identify(&delivery.body, &delivery.message_id)],
        };
        for identity in &identities {
            self.publisher.publish(&TranscriptionCompleted::failed(identity, problem)).await?;
        }
        Ok(())
    }
}

impl Pipeline {
    /// What the message asks for, wherever its body lies.
    async fn intake(&self, delivery: &Delivery) -> Result<Intake, Fault> {
        match message::read(&delivery.body)? {
            Intake::Elsewhere(at) => {
                self.allow.check_input(&format!("message {}", delivery.message_id), &at)?;
                message::offloaded::read(&*self.objects, &at).await
            }
            intake => Ok(intake),
        }
    }

    async fn run(&self, job: &Job, delivery: &Delivery, control: &Control) -> Result<(), Fault> {
        let started = Instant::now();
        self.accept(job)?;
        let info = self.objects.head(&job.source).await?;
        if let Some(done) = self.store.find_done(job, &info.etag, &model_ref(&self.model)).await? {
            tracing::info!("already transcribed: published again without a second inference");
            let plan = self.store.plan(job);
            if self.checkpoint_every.is_some() {
                // of a worker that died between storing and removing
                keeper::remove(&*self.objects, &checkpoint::location(&plan.json, &job.id)).await;
            }
            return self.publish(job, &done, plan.location(), done.timings.total).await;
        }
        let fetched = fetch::fetch(&*self.objects, &job.source, &self.scratch, &self.limits, control).await?;
        let listening = self.listening(job, fetched.path());
        let keeper = self.keeper(job, &fetched.info.etag, &listening).await;
        let from_window = keeper.as_ref().map_or(0, |keeper| keeper.known().len());
        let marker = PoisonGuard::marker(&self.store.plan(job).json, job);
        let deaths = self.poison.deaths(&marker, delivery, from_window).await?;
        let run = Run { marker, delivery, from_window, deaths };
        let (heard, keeper) = self.poison.run(run, control, self.hear(listening, keeper, control)).await?;
        let source = SourceRef {
            bucket: job.source.bucket.clone(),
            key: job.source.key.clone(),
            etag: fetched.info.etag.clone(),
            size_bytes: fetched.info.size_bytes,
        };
        let resumed = heard.resumed;
        let transcript = self.assemble(job, source, heard, fetched.secs, started);
        if control.lease_lost.is_cancelled() {
            return Err(Fault::LeaseLost);
        }
        let location = self.store.write(job, &transcript).await?;
        self.publish(job, &transcript, location, started.elapsed().as_secs_f64()).await?;
        if let Some(keeper) = keeper {
            keeper.remove(control).await;
        }
        summarise(&transcript, resumed, delivery, started);
        Ok(())
    }

    /// Whether this worker can do the job at all.
    fn accept(&self, job: &Job) -> Result<(), Fault> {
        self.allow.check(job)?;
        if job.output.is_none() && self.store.bucket.is_empty() {
            let message = format!("job {} names no s3_output_path, and this worker has no output bucket", job.id);
            return Err(Fault::permanent(Code::BadMessage, message));
        }
        let JobOptions { model, language, task, .. } = &job.options;
        if let Some(model) = model.as_ref().filter(|model| **model != self.model.name) {
            let message = format!("job {} asks for model {model}; this worker serves {}", job.id, self.model.name);
            return Err(Fault::permanent(Code::UnknownModel, message));
        }
        let foreign = language.as_deref().is_some_and(|code| code != "en" && code != "auto");
        if !self.model.multilingual && (foreign || *task == Some(crate::job::Task::Translate)) {
            let message =
                format!("job {} asks for another language; model {} is English only", job.id, self.model.name);
            return Err(Fault::permanent(Code::UnknownModel, message));
        }
        Ok(())
    }

    fn listening(&self, job: &Job, path: &std::path::Path) -> Listening {
        let progress = self.progress.clone();
        let mut audio = self.defaults.audio.clone();
        audio.channels = job.options.channels.unwrap_or(audio.channels);
        let mut options = self.defaults.window.clone();
        match job.options.language.as_deref() {
            Some("auto") => options.language = None,
            Some(code) => options.language = Some(code.to_owned()),
            None => {}
        }
        options.task = job.options.task.unwrap_or(options.task);
        options.prompt = job.options.prompt.clone().or(options.prompt);
        Listening {
            path: path.to_owned(),
            name: job.source.to_string(),
            audio,
            options,
            on_progress: Some(Box::new(move |_| progress.step())),
            resume: None,
        }
    }

    /// What an earlier delivery of the job has left, kept up to date from here on.
    async fn keeper(&self, job: &Job, etag: &str, listening: &Listening) -> Option<Keeper> {
        let every = self.checkpoint_every?;
        let at = checkpoint::location(&self.store.plan(job).json, &job.id);
        let binding = Binding::new(job, etag, &self.model, &listening.options, listening.audio.channels);
        Some(Keeper::open(self.objects.clone(), at, binding, every).await)
    }

    /// Listens, with the checkpoint kept up to date meanwhile and settled when that ends badly.
    async fn hear(
        &self,
        mut listening: Listening,
        keeper: Option<Keeper>,
        control: &Control,
    ) -> Result<(Heard, Option<Keeper>), Fault> {
        let Some(mut keeper) = keeper else {
            return Ok((listen::listen(listening, &self.transcriber, control).await?, None));
        };
        let (finished, windows) = mpsc::unbounded_channel();
        listening.resume = Some(Resume { known: keeper.known(), finished });
        let listened = listen::listen(listening, &self.transcriber, control);
        match tokio::join!(listened, keeper.attend(windows, control)) {
            (Ok(heard), ()) => {
                keeper.forget();
                Ok((heard, Some(keeper)))
            }
            (Err(fault), ()) => {
                match fault {
                    Fault::Interrupted | Fault::Transient(_) | Fault::Unable(_) => keeper.hand_over(control).await,
                    Fault::Permanent(_) => keeper.remove(control).await,
                    Fault::LeaseLost => {}
                }
                Err(fault)
            }
        }
    }

    fn assemble(&self, job: &Job, source: SourceRef, heard: Heard, fetch_secs: f64, started: Instant) -> Transcript {
        let job_ref = JobRef { job_id: job.id.clone(), user_id: job.user_id.clone(), file_id: job.file_id.clone() };
        let task = job.options.task.unwrap_or(self.defaults.window.task);
        let words = job.options.word_timestamps.unwrap_or(self.defaults.word_timestamps);
        let mut transcript = assemble(heard, job_ref, source, task, words, &self.model, self.worker.clone());
        transcript.timings.fetch = fetch_secs;
        transcript.timings.total = started.elapsed().as_secs_f64();
        transcript
    }

    async fn publish(
        &self,
        job: &Job,
        transcript: &Transcript,
        location: TranscriptLocation,
        processing_secs: f64,
    ) -> Result<(), Fault> {
        self.publisher.publish(&TranscriptionCompleted::done(job, transcript, location, processing_secs)).await
    }
}

/// The document of what was heard; its fetch and total times are still to be filled in.
pub fn assemble(
    heard: Heard,
    job: JobRef,
    source: SourceRef,
    task: crate::job::Task,
    words: bool,
    model: &Model,
    worker: WorkerRef,
) -> Transcript {
    let mut segments = heard.segments;
    tidy(&mut segments, heard.report.audio.duration);
    if !words {
        for segment in &mut segments {
            // `clear` would keep their memory until the job ends
            segment.words = Vec::new();
        }
    }
    let status = if heard.report.warnings.is_empty() { Status::Completed } else { Status::Partial };
    Transcript {
        version: VERSION.to_owned(),
        job,
        status,
        source,
        audio: heard.report.audio,
        language: heard.language,
        task,
        model: model_ref(model),
        text: text::join(&segments),
        segments,
        quality: heard.quality,
        warnings: heard.report.warnings,
        timings: Timings {
            decode: heard.decode.as_secs_f64(),
            transcribe: heard.transcribe.as_secs_f64(),
            ..Timings::default()
        },
        worker,
    }
}

fn model_ref(model: &Model) -> ModelRef {
    ModelRef { name: model.name.clone(), sha256: model.sha256.clone() }
}

/// The one line that tells how a job went.
fn summarise(transcript: &Transcript, resumed: Resumed, delivery: &Delivery, started: Instant) {
    let total_secs = started.elapsed().as_secs_f64();
    let queue_wait_secs = match delivery.sent_at_ms {
        0 => None,
        sent => Some((jiff::Timestamp::now().as_millisecond() - sent) as f64 / 1000.0 - total_secs),
    };
    tracing::info!(
        status = ?transcript.status,
        audio_secs = transcript.audio.duration,
        speech_secs = transcript.audio.speech_duration,
        queue_wait_secs,
        fetch_secs = transcript.timings.fetch,
        decode_secs = transcript.timings.decode,
        transcribe_secs = transcript.timings.transcribe,
        total_secs,
        x_realtime = transcript.audio.duration / total_secs.max(1e-3),
        resumed_secs = resumed.secs,
        windows = transcript.quality.windows,
        windows_inferred = transcript.quality.windows.saturating_sub(resumed.windows),
        receive_count = delivery.receive_count,
        "job done"
    );
}
