//! One job, from its message to its event: a method for each step, in the order of `go_all_the_way`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::{Instant, sleep};

use super::asked::Asked;
use super::assemble::{self, About};
use super::listen::{self, Heard, Listening, Resume};
use super::news::Teller;
use super::poison::{PoisonGuard, Run};
use super::steady::{Steady, Whose};
use super::{Pipeline, summary};
use crate::audio::recording::Recording;
use crate::backoff::Backoff;
use crate::board::{JobAtWork, Reached, Seat, Stage};
use crate::checkpoint::keeper::{self, Keeper};
use crate::checkpoint::{self, Binding};
use crate::fault::{Code, Fault};
use crate::handler::{Control, Delivery};
use crate::health::Part;
use crate::job::Job;
use crate::objects::{Condition, Location, ObjectInfo};
use crate::publish::{Event, TranscriptLocation, TranscriptionCompleted};
use crate::store::{Plan, Standing, Wanted};
use crate::transcribe::task::Share;
use crate::transcript::{JobRef, ModelRef, SourceRef, Transcript};

/// Between two looks for an object that is not there yet.
const LOOK_AGAIN: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(20) };

/// A job under way.
pub struct Work<'a> {
    pipeline: &'a Pipeline,
    job: &'a Job,
    delivery: &'a Delivery,
    control: &'a Control,
    steady: Steady<'a>,
    asked: Asked,
    plan: Plan,
    model: ModelRef,
    begun: Instant,
}

impl<'a> Work<'a> {
    /// The work of `job`, which came with `delivery`.
    pub fn new(pipeline: &'a Pipeline, job: &'a Job, delivery: &'a Delivery, control: &'a Control) -> Self {
        Self {
            pipeline,
            job,
            delivery,
            control,
            steady: pipeline.steady(control),
            asked: Asked::of(job, &pipeline.defaults, &pipeline.store.formats),
            plan: pipeline.store.plan(job),
            model: assemble::model_ref(&pipeline.model),
            begun: Instant::now(),
        }
    }

    /// Does it: `Ok` once the event is out.
    ///
    /// # Errors
    /// What became of it otherwise.
    pub async fn run(&self) -> Result<(), Fault> {
        let seat = self.seat();
        match self.go_all_the_way(&seat).await {
            // another delivery may have finished the job meanwhile, and its consumer moved the audio away
            Err(Fault::Permanent(problem)) if problem.code == Code::ObjectNotFound => match self.look().await? {
                Standing::Done(transcript, etag) => self.repeat(&transcript, &etag).await,
                Standing::Open(_) => Err(Fault::Permanent(problem)),
            },
            Err(fault) => {
                if let Fault::Transient(problem) | Fault::Unable(problem) = &fault {
                    self.pipeline.board.failed(self.pipeline.clock.now(), &self.job.id, problem);
                }
                Err(fault)
            }
            Ok(()) => Ok(()),
        }
    }

    async fn go_all_the_way(&self, seat: &Arc<Seat>) -> Result<(), Fault> {
        self.pipeline.accept(self.job, &self.asked)?;
        let standing = self.look().await?;
        let (condition, info) = match standing {
            Standing::Open(condition) => (condition, self.source().await?),
            Standing::Done(transcript, etag) => match self.newer_source(&transcript).await {
                Some(info) => (Condition::Unchanged(etag), info),
                None => return self.repeat(&transcript, &etag).await,
            },
        };
        self.prove_output().await?;
        seat.stage(Stage::Fetching);
        let teller = self.teller();
        let (fetched, ()) = tokio::join!(self.fetch(&info), teller.started());
        let (recording, fetch) = fetched?;
        seat.stage(Stage::Transcribing);
        let (heard, mut keeper) = self.listen(recording, &info.etag, seat).await?;
        seat.stage(Stage::Storing);
        let resumed = heard.resumed;
        let transcript = self.assemble(heard, info, fetch);
        let location = match self.store(&transcript, &condition).await {
            Ok(location) => location,
            Err(fault) => {
                self.hand_over(keeper.as_mut(), &fault).await;
                return Err(fault);
            }
        };
        self.publish(&transcript, location, self.begun.elapsed().as_secs_f64()).await?;
        if let Some(keeper) = keeper {
            keeper.remove(self.control).await;
        }
        summary::tell(self.pipeline, &transcript, resumed, self.delivery, self.begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Reports that the job failed; published as done where it completed before.
    ///
    /// # Errors
    /// The report was not written.
    pub async fn report(&self, failed: TranscriptionCompleted) -> Result<(), Fault> {
        let store = &self.pipeline.store;
        let finished = self.steady.call(Part::Output, self.whose(), || store.finished(self.job)).await;
        match finished {
            Ok(Some(transcript)) if self.newer_source(&transcript).await.is_none() => {
                let secs = transcript.timings.total;
                self.publish(&transcript, self.plan.location(), secs).await
            }
            // where nothing can be read, nothing of ours was written
            Ok(_) | Err(Fault::Permanent(_) | Fault::Unable(_)) => {
                self.send(failed.clone()).await?;
                self.pipeline.has_failed(&failed, self.delivery);
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    /// What an earlier delivery has left.
    async fn look(&self) -> Result<Standing, Fault> {
        let wanted = Wanted { model: &self.model, task: self.asked.task(), request: &self.asked.request };
        self.steady.call(Part::Output, self.whose(), || self.pipeline.store.look(self.job, wanted)).await
    }

    /// The source, if it is another version than that of `transcript`. One that cannot be looked at any more is none: a
    /// consumer of `completed` may have moved it.
    async fn newer_source(&self, transcript: &Transcript) -> Option<ObjectInfo> {
        let info = self.pipeline.objects.head(&self.job.source).await.ok()?;
        (info.etag != transcript.source.etag).then_some(info)
    }

    /// Publishes what was done before, with the renditions that were not asked for then.
    async fn repeat(&self, transcript: &Transcript, etag: &str) -> Result<(), Fault> {
        tracing::info!("already transcribed: published again without a second inference");
        let Pipeline { store, objects, checkpoint_every, .. } = self.pipeline;
        let request = &self.asked.request;
        let complete = || store.complete(self.job, transcript, etag, request);
        let location = self.steady.call(Part::Output, self.whose(), complete).await?;
        if checkpoint_every.is_some() {
            // of a worker that died between storing and removing
            keeper::remove(&**objects, &checkpoint::location(&self.plan.json, &self.job.id)).await;
        }
        self.publish(transcript, location, transcript.timings.total).await
    }

    /// Looks at the source. One that is not there yet is waited for while the message is young: some producers announce an
    /// upload when they sign its URL.
    async fn source(&self) -> Result<ObjectInfo, Fault> {
        let Pipeline { clock, object_grace, .. } = self.pipeline;
        match self.look_at_source().await {
            Err(Fault::Permanent(problem)) if problem.code == Code::ObjectNotFound => {
                let age = clock.secs_since(self.delivery.sent_at_ms).map(Duration::from_secs_f64).unwrap_or_default();
                let until = Instant::now() + object_grace.saturating_sub(age);
                self.await_source(until, Fault::Permanent(problem)).await
            }
            look => look,
        }
    }

    async fn look_at_source(&self) -> Result<ObjectInfo, Fault> {
        let Pipeline { objects, .. } = self.pipeline;
        self.steady.call(Part::Input, Whose::Jobs, || objects.head(&self.job.source)).await
    }

    /// Waits without a slot, and without spending a receive.
    async fn await_source(&self, until: Instant, mut missing: Fault) -> Result<ObjectInfo, Fault> {
        let _parked = self.control.parking.park();
        let mut looks = 0_u32;
        while Instant::now() < until {
            if looks == 0 {
                tracing::info!(source = %self.job.source, "the object is not there yet: waiting for it");
            }
            looks = looks.saturating_add(1);
            tokio::select! {
                biased;
                () = self.control.lease_lost.cancelled() => return Err(Fault::LeaseLost),
                () = self.control.abort.cancelled() => return Err(Fault::Interrupted),
                () = sleep(LOOK_AGAIN.delay(looks).min(until - Instant::now())) => {}
            }
            self.pipeline.progress.step();
            match self.look_at_source().await {
                Err(Fault::Permanent(problem)) if problem.code == Code::ObjectNotFound => {
                    missing = Fault::Permanent(problem);
                }
                look => return look,
            }
        }
        Err(missing)
    }

    /// A place of the job's own is tried before hours of work go into what may then not be written.
    async fn prove_output(&self) -> Result<(), Fault> {
        let Pipeline { store, .. } = self.pipeline;
        if self.whose() == Whose::Ours {
            return Ok(());
        }
        self.steady.call(Part::Output, Whose::Jobs, || store.prove(&self.plan.json, &self.job.id)).await
    }

    async fn fetch(&self, info: &ObjectInfo) -> Result<(Box<dyn Recording>, Duration), Fault> {
        let begun = Instant::now();
        let Pipeline { fetcher, .. } = self.pipeline;
        let fetch = || fetcher.fetch(&self.job.source, info, self.control);
        let recording = self.steady.call(Part::Input, Whose::Jobs, fetch).await?;
        Ok((recording, begun.elapsed()))
    }

    /// Decodes and transcribes, from the checkpoint on if there is one, under the eyes of the poison guard.
    async fn listen(
        &self,
        recording: Box<dyn Recording>,
        etag: &str,
        seat: &Arc<Seat>,
    ) -> Result<(Heard, Option<Keeper>), Fault> {
        let keeper = self.keeper(etag).await;
        let from_window = keeper.as_ref().map_or(0, |keeper| keeper.known().len());
        let marker = PoisonGuard::marker(&self.plan.json, self.job);
        let poison = &self.pipeline.poison;
        let deaths = poison.deaths(&marker, self.delivery, from_window).await?;
        let run = Run { marker, delivery: self.delivery, from_window, deaths };
        poison.run(run, self.control, self.hear(recording, keeper, seat)).await
    }

    /// What an earlier delivery of the job has left, kept up to date from here on.
    async fn keeper(&self, etag: &str) -> Option<Keeper> {
        let Pipeline { objects, model, checkpoint_every, .. } = self.pipeline;
        let at = checkpoint::location(&self.plan.json, &self.job.id);
        let binding = Binding::new(self.job, etag, model, &self.asked.bound(), &self.asked.audio);
        let keeper = Keeper::open(Arc::clone(objects), at, binding, (*checkpoint_every)?).await;
        Some(keeper.withholding(self.asked.wording.redact.clone()))
    }

    /// Listens, with the checkpoint kept up to date meanwhile and settled when that ends badly.
    async fn hear(
        &self,
        mut recording: Box<dyn Recording>,
        keeper: Option<Keeper>,
        seat: &Arc<Seat>,
    ) -> Result<(Heard, Option<Keeper>), Fault> {
        let name = self.job.source.to_string();
        let end_secs = self.asked.audio.clip.map_or(f64::INFINITY, |clip| clip.end());
        seat.lasts(recording.likely_secs(&name).await.map(|secs| secs.min(end_secs)));
        if let Some(count) = self.asked.request.speakers {
            recording.follow(self.pipeline.voices.tracker(count, self.asked.audio.channels));
        }
        let (reached, so_far) = mpsc::unbounded_channel();
        let decoding = self.pipeline.progress.clone();
        let mut listening = Listening {
            recording,
            name,
            audio: self.asked.audio.clone(),
            options: self.asked.window.clone(),
            share: self.share(),
            on_progress: Some(self.on_progress(seat, reached)),
            on_step: Box::new(move || decoding.step()),
            resume: None,
        };
        let (transcriber, control) = (&self.pipeline.transcriber, self.control);
        let teller = self.teller();
        let Some(mut keeper) = keeper else {
            let (heard, ()) = tokio::join!(listen::listen(listening, transcriber, control), teller.progress(so_far));
            return Ok((heard?, None));
        };
        let (finished, windows) = mpsc::unbounded_channel();
        listening.resume = Some(Resume { known: keeper.known(), finished });
        let listened = listen::listen(listening, transcriber, control);
        match tokio::join!(listened, keeper.attend(windows, control), teller.progress(so_far)) {
            (Ok(heard), (), ()) => {
                keeper.complete(control).await;
                Ok((heard, Some(keeper)))
            }
            (Err(fault), (), ()) => {
                self.hand_over(Some(&mut keeper), &fault).await;
                Err(fault)
            }
        }
    }

    /// What was heard is not lost with the attempt, unless the job is at its end.
    async fn hand_over(&self, keeper: Option<&mut Keeper>, fault: &Fault) {
        let Some(keeper) = keeper else { return };
        match fault {
            Fault::Interrupted | Fault::Transient(_) | Fault::Unable(_) => keeper.hand_over(self.control).await,
            Fault::Permanent(_) => keeper.remove(self.control).await,
            Fault::LeaseLost => {}
        }
    }

    fn assemble(&self, heard: Heard, info: ObjectInfo, fetch: Duration) -> Transcript {
        let Job { id, user_id, file_id, source, .. } = self.job;
        let Location { bucket, key } = source.clone();
        assemble::transcript(
            heard,
            About {
                job: JobRef { job_id: id.clone(), user_id: user_id.clone(), file_id: file_id.clone() },
                source: SourceRef { bucket, key, etag: info.etag, size_bytes: info.size_bytes },
                task: self.asked.task(),
                request: self.asked.request.clone(),
                wording: self.asked.wording.clone(),
                model: self.model.clone(),
                worker: self.pipeline.worker.clone(),
                fetch,
                begun: self.begun,
            },
        )
    }

    /// Writes the renditions, the JSON only where nobody wrote one meanwhile.
    async fn store(&self, transcript: &Transcript, condition: &Condition) -> Result<TranscriptLocation, Fault> {
        let store = &self.pipeline.store;
        let write = || store.write(self.job, transcript, condition);
        match self.steady.call(Part::Output, self.whose(), write).await {
            // our own put, whose answer was lost, or another delivery of this job that was faster
            Err(Fault::Transient(problem)) if problem.code == Code::ObjectChanged => match self.look().await? {
                Standing::Done(found, _) if found.source.etag == transcript.source.etag => Ok(self.plan.location()),
                _ => Err(Fault::Transient(problem)),
            },
            written => written,
        }
    }

    async fn publish(
        &self,
        transcript: &Transcript,
        location: TranscriptLocation,
        processing_secs: f64,
    ) -> Result<(), Fault> {
        let now = self.pipeline.clock.now();
        self.send(TranscriptionCompleted::done(self.job, transcript, location, processing_secs, now)).await
    }

    async fn send(&self, event: TranscriptionCompleted) -> Result<(), Fault> {
        let (publisher, trace) = (&self.pipeline.publisher, self.delivery.trace.as_deref());
        let event = Event::from(event);
        self.steady.call(Part::Bus, Whose::Ours, || publisher.publish(&event, trace)).await
    }

    /// Who tells of it meanwhile.
    fn teller(&self) -> Teller<'_> {
        Teller { pipeline: self.pipeline, job: self.job, delivery: self.delivery, control: self.control }
    }

    /// Where it is seen meanwhile.
    fn seat(&self) -> Arc<Seat> {
        Arc::new(self.pipeline.board.enter(JobAtWork {
            job_id: self.job.id.clone(),
            source: self.job.source.to_string(),
            attempt: self.delivery.receive_count,
            since: self.pipeline.clock.now(),
            stage: Stage::default(),
            reached: Reached::default(),
        }))
    }

    /// How its turns at the engine are counted.
    fn share(&self) -> Share {
        let tenant = self.delivery.tenant.as_deref().map(Into::into);
        Share { tenant, weight: self.job.options.priority.unwrap_or(1) }
    }

    /// Passes on how far it is.
    fn on_progress(&self, seat: &Arc<Seat>, reached: UnboundedSender<Reached>) -> Box<dyn Fn(f64) + Send + Sync> {
        let (steps, seat) = (self.pipeline.progress.clone(), seat.clone());
        Box::new(move |secs| {
            steps.step();
            // nobody listens once the lease is lost
            let _ = reached.send(seat.reached(secs));
        })
    }

    /// Whose place the transcripts go to.
    fn whose(&self) -> Whose {
        if self.job.output.is_some() { Whose::Jobs } else { Whose::Ours }
    }
}
