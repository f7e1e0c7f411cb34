//! The flow: a message becomes jobs, and each job goes its way ([`work::Work`]). Knows audio and text, nothing of queues,
//! signals or spot.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::audio::AudioOptions;
use crate::board::Board;
use crate::clock::Clock;
use crate::fault::{Code, Fault, Problem};
use crate::fetch::Fetch;
use crate::handler::{Control, Delivery, Handled, Handler, Letter};
use crate::health::{Health, Part};
use crate::job::allow::AllowList;
use crate::job::message::{self, Identity, Intake};
use crate::job::speakers::SpeakerCount;
use crate::job::subtitles::Subtitles;
use crate::job::wording::Wording;
use crate::job::{Format, Job};
use crate::metrics::{JobFailed, Metrics};
use crate::model::Model;
use crate::objects::Objects;
use crate::publish::{EventError, Publish, TranscriptionCompleted};
use crate::speakers::Voices;
use crate::store::Store;
use crate::transcribe::Transcriber;
use crate::transcribe::wire::WindowOptions;
use crate::transcript::{Request, WorkerRef};
use crate::watchdog::Progress;
use crate::wording::{self, redaction};
use asked::Asked;
use news::News;
use poison::PoisonGuard;
use steady::{Steady, Whose};
use work::Work;

pub mod asked;
pub mod assemble;
pub mod listen;
pub mod news;
pub mod poison;
pub mod steady;
mod summary;
pub mod work;

/// What a job gets where it asks for nothing else.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// How to decode.
    pub audio: AudioOptions,
    /// Language, task, prompt, beam.
    pub window: WindowOptions,
    /// Words with times.
    pub word_timestamps: bool,
    /// Who speaks, and how many may; `None` does not ask.
    pub speakers: Option<SpeakerCount>,
    /// What is wanted of single words.
    pub wording: Wording,
    /// How subtitles are laid out.
    pub subtitles: Subtitles,
}

impl Defaults {
    /// How windows are transcribed: with the vocabulary in the prompt.
    pub fn window_options(&self) -> WindowOptions {
        let prompt = self.wording.prompt(self.window.prompt.clone());
        WindowOptions { prompt, ..self.window.clone() }
    }

    /// What is asked for where a job asks for nothing else.
    pub fn request(&self, formats: &[Format]) -> Request {
        let Wording { vocabulary, filter, redact, redaction_output, .. } = &self.wording;
        let clean = |text: &String| redaction::redact_text(text, redact);
        Request {
            language: self.window.language.clone(),
            languages: self.window.languages.clone(),
            prompt: self.window.prompt.as_ref().map(clean),
            vocabulary: vocabulary.iter().map(clean).collect(),
            word_lists: wording::fingerprint(&self.wording),
            filter_method: filter.as_ref().map(|filter| filter.method),
            redact: redact.clone(),
            redaction_output: (!redact.is_empty()).then_some(*redaction_output),
            channels: self.audio.channels,
            word_timestamps: self.word_timestamps,
            speakers: self.speakers,
            clip: self.audio.clip,
            subtitles: (self.subtitles != Subtitles::default()).then_some(self.subtitles),
            formats: formats.to_vec(),
        }
    }
}

/// The flow, with everything it works on.
pub struct Pipeline {
    /// Where audio comes from.
    pub objects: Arc<dyn Objects>,
    /// Who brings it here.
    pub fetcher: Arc<dyn Fetch>,
    /// Where events go.
    pub publisher: Arc<dyn Publish>,
    /// Where transcripts go.
    pub store: Store,
    /// The engines.
    pub transcriber: Arc<Transcriber>,
    /// Who tells voices apart.
    pub voices: Voices,
    /// The weights they run.
    pub model: Model,
    /// What a job gets where it asks for nothing else.
    pub defaults: Defaults,
    /// Between two saves of a running job's checkpoint; `None` saves none.
    pub checkpoint_every: Option<Duration>,
    /// An object may be missing for so long after its message was sent.
    pub object_grace: Duration,
    /// The places that jobs may name.
    pub allow: AllowList,
    /// Keeps a job from taking one worker down after the other.
    pub poison: PoisonGuard,
    /// What the bus is told of jobs under way.
    pub news: News,
    /// Where jobs under way are seen.
    pub board: Board,
    /// What is measured.
    pub metrics: Metrics,
    /// Named in each transcript.
    pub worker: WorkerRef,
    /// Told how calls to the places went.
    pub health: Health,
    /// Told of every step, for the watchdog.
    pub progress: Progress,
    /// The time of day.
    pub clock: Clock,
}

#[async_trait]
impl Handler for Pipeline {
    /// A job that fails for good in company does not stop the others, and one that may succeed later does not either: it
    /// brings the message back, and only then are those that failed reported.
    async fn handle(&self, delivery: &Delivery, control: &Control) -> Result<Handled, Fault> {
        let (jobs, refused) = match self.intake(delivery, control).await? {
            Intake::Jobs { jobs, refused } => (jobs, refused),
            Intake::Ignored(why) => {
                tracing::info!("message acknowledged without work: {why}");
                return Ok(Handled::default());
            }
            Intake::Elsewhere(at) => return Err(Fault::permanent(Code::BadMessage, format!("{at} holds no message"))),
        };
        let several = jobs.len() + refused.len() > 1;
        let mut failed = Vec::new();
        let mut later = None;
        for job in &jobs {
            tracing::Span::current().record("job_id", job.id.as_str());
            match Work::new(self, job, delivery, control).run().await {
                Ok(()) => {}
                Err(Fault::Permanent(problem)) if several => failed.push((job, problem)),
                Err(fault @ (Fault::Transient(_) | Fault::Unable(_))) if several => later = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        if let Some(fault) = later {
            return Err(fault);
        }
        let mut letters = Vec::new();
        for (job, problem) in failed {
            self.report_job(job, delivery, &problem, control).await?;
            letters.push(Letter { body: message::single(job), problem });
        }
        for record in refused {
            self.report_unread(&record.identity(&delivery.message_id), delivery, &record.problem, control).await?;
            letters.push(Letter { body: record.body, problem: record.problem });
        }
        Ok(Handled { letters })
    }

    async fn report(&self, delivery: &Delivery, problem: &Problem, control: &Control) -> Result<(), Fault> {
        let (jobs, refused) = match self.intake(delivery, control).await {
            Ok(Intake::Jobs { jobs, refused }) => (jobs, refused),
            Err(fault @ (Fault::Interrupted | Fault::LeaseLost)) => return Err(fault),
            _ => {
                let identity = message::identify(&delivery.body, &delivery.message_id);
                return self.report_unread(&identity, delivery, problem, control).await;
            }
        };
        for job in &jobs {
            self.report_job(job, delivery, problem, control).await?;
        }
        for record in refused {
            let identity = record.identity(&delivery.message_id);
            self.report_unread(&identity, delivery, &record.problem, control).await?;
        }
        Ok(())
    }

    fn let_go(&self, delivery: &Delivery) {
        self.poison.let_go(delivery);
    }
}

impl Pipeline {
    /// What the message asks for, wherever its body lies.
    async fn intake(&self, delivery: &Delivery, control: &Control) -> Result<Intake, Fault> {
        let at = match message::read(&delivery.body)? {
            Intake::Elsewhere(at) => at,
            intake => return Ok(intake),
        };
        self.allow.check_input(&format!("message {}", delivery.message_id), &at)?;
        let read = || message::offloaded::read(&*self.objects, &at);
        self.steady(control).call(Part::Input, Whose::Jobs, read).await
    }

    /// Who makes the calls for a message.
    fn steady<'a>(&'a self, control: &'a Control) -> Steady<'a> {
        Steady { health: &self.health, control, progress: &self.progress }
    }

    async fn report_job(
        &self,
        job: &Job,
        delivery: &Delivery,
        problem: &Problem,
        control: &Control,
    ) -> Result<(), Fault> {
        let failed = TranscriptionCompleted::failed(&Identity::from(job), problem, self.clock.now());
        Work::new(self, job, delivery, control).report(failed).await
    }

    /// Reports a message, or a record of one, that is no job.
    async fn report_unread(
        &self,
        identity: &Identity,
        delivery: &Delivery,
        problem: &Problem,
        control: &Control,
    ) -> Result<(), Fault> {
        let failed = TranscriptionCompleted::failed(identity, problem, self.clock.now());
        let event = failed.clone().into();
        let publish = || self.publisher.publish(&event, delivery.trace.as_deref());
        self.steady(control).call(Part::Bus, Whose::Ours, publish).await?;
        self.has_failed(&failed, delivery);
        Ok(())
    }

    /// A job failed for good, and its consumers were told.
    fn has_failed(&self, event: &TranscriptionCompleted, delivery: &Delivery) {
        let Some(EventError { code, message }) = &event.error else { return };
        let problem = Problem { code: *code, message: message.clone() };
        self.board.failed(self.clock.now(), &event.job_id, &problem);
        let receive_count = delivery.receive_count;
        self.metrics.job_failed(&JobFailed { job_id: &event.job_id, code: *code, reason: message, receive_count });
    }

    /// Whether this worker can do the job at all.
    fn accept(&self, job: &Job, asked: &Asked) -> Result<(), Fault> {
        self.allow.check(job)?;
        if job.output.is_none() && self.store.bucket.is_empty() {
            let message = format!("job {} names no s3_output_path, and this worker has no output bucket", job.id);
            return Err(Fault::permanent(Code::BadMessage, message));
        }
        if let Some(model) = job.options.model.as_ref().filter(|model| **model != self.model.name) {
            let message = format!("job {} asks for model {model}; this worker serves {}", job.id, self.model.name);
            return Err(Fault::permanent(Code::UnknownModel, message));
        }
        match self.model.refusal(asked.window.named_languages(), asked.task()) {
            Some(why) => {
                Err(Fault::permanent(Code::UnknownModel, format!("job {} asks for what is not here: {why}", job.id)))
            }
            None => Ok(()),
        }
    }
}
