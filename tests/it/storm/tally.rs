//! What the logs of a storm's workers and its events come to: who did what, and why an event came twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::fleet::{Life, Strike};

/// Why an event came once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// The bus had taken it, its answer did not arrive, and the SDK asked again: the very same event.
    AnswerLost,
    /// The same, until the SDK gave up: the whole message was put off.
    PublishFailed,
    /// The worker was killed after it had published, before the message was deleted.
    Killed,
    /// The worker had to go after it had published, before the message was deleted.
    GivenBack,
    /// The message could not be deleted.
    DeleteFailed,
    /// Another worker had the message already.
    LeaseLost,
    /// The logs give no reason: a bug.
    Unexplained,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnswerLost => "the answer to PutEvents was lost, the SDK sent it again",
            Self::PublishFailed => "every answer to PutEvents was lost, the message was delivered again",
            Self::Killed => "the worker was killed between publishing and deleting",
            Self::GivenBack => "the worker stopped between publishing and deleting",
            Self::DeleteFailed => "the message could not be deleted",
            Self::LeaseLost => "the lease was lost after publishing",
            Self::Unexplained => "unexplained",
        })
    }
}

/// One delivery of a message to one worker.
#[derive(Default)]
struct Delivery {
    strike: Option<Strike>,
    /// What was logged of it, and the reasons given.
    said: Vec<String>,
}

impl Delivery {
    fn says(&self, text: &str) -> bool {
        self.said.iter().any(|line| line.contains(text))
    }

    /// How it left a message behind whose event was published.
    fn cause(&self) -> Cause {
        if self.says("done, but not deleted") {
            Cause::DeleteFailed
        } else if self.says("lease was lost") || self.says("receipt is no longer valid") {
            Cause::LeaseLost
        } else if self.says("will be retried") && self.says("publish the event") {
            Cause::PublishFailed
        } else if self.says("given back") {
            Cause::GivenBack
        } else if self.strike == Some(Strike::Kill) {
            Cause::Killed
        } else {
            Cause::Unexplained
        }
    }
}

/// The sum of a storm.
pub struct Tally {
    strikes: BTreeMap<Strike, usize>,
    workers: usize,
    /// Deliveries by job and receive count, as far as something was logged of them.
    deliveries: BTreeMap<String, BTreeMap<u64, Delivery>>,
    events: BTreeMap<String, Vec<Value>>,
    /// Lines that say that there is a bug.
    bugs: Vec<String>,
    inferred: usize,
    windows: u64,
}

impl Tally {
    pub fn of(lives: &[Life], events: BTreeMap<String, Vec<Value>>) -> Self {
        let mut tally = Self {
            strikes: BTreeMap::new(),
            workers: lives.len(),
            deliveries: BTreeMap::new(),
            events,
            bugs: Vec::new(),
            inferred: 0,
            windows: 0,
        };
        for life in lives {
            if let Some(strike) = life.strike {
                *tally.strikes.entry(strike).or_default() += 1;
            }
            // the last line of a killed worker may be cut
            let lines = life.log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.for_each(|line| tally.read(&line, life.strike));
        }
        tally
    }

    fn read(&mut self, line: &Value, strike: Option<Strike>) {
        let message = line["message"].as_str().unwrap_or_default();
        if message.contains("panicked") || message.contains("bug:") || line["level"] == "ERROR" {
            self.bugs.push(line.to_string());
        }
        self.inferred += usize::from(message == "window finished" && line["saved"] == false);
        let (Some(job), Some(receives)) = (line["job_id"].as_str(), line["receive_count"].as_u64()) else { return };
        let delivery = self.deliveries.entry(job.to_owned()).or_default().entry(receives).or_default();
        delivery.strike = strike;
        delivery.said.push(format!("{message} {}", line["reason"].as_str().unwrap_or_default()));
        if message == "job done" {
            self.windows += line["windows"].as_u64().unwrap_or_default();
        }
    }

    fn count(&self, text: &str) -> usize {
        self.deliveries.values().flat_map(BTreeMap::values).filter(|delivery| delivery.says(text)).count()
    }

    /// Events that came more than once, by cause.
    fn duplicates(&self) -> BTreeMap<Cause, usize> {
        let mut causes = BTreeMap::new();
        for (job, events) in &self.events {
            // each publication has its own time, to the millisecond
            let published = events.iter().map(|event| event["completedAt"].as_str()).collect::<BTreeSet<_>>().len();
            *causes.entry(Cause::AnswerLost).or_default() += events.len() - published;
            for cause in self.causes(job).into_iter().chain(std::iter::repeat(Cause::Unexplained)).take(published - 1) {
                *causes.entry(cause).or_default() += 1;
            }
        }
        causes.retain(|_, count| *count > 0);
        causes
    }

    /// Of each delivery that had published, and was not the job's last.
    fn causes(&self, job: &str) -> Vec<Cause> {
        let deliveries: Vec<&Delivery> = self.deliveries.get(job).into_iter().flat_map(BTreeMap::values).collect();
        let pairs = deliveries.windows(2);
        pairs.filter(|pair| pair[1].says("already transcribed")).map(|pair| pair[0].cause()).collect()
    }

    pub fn print(&self) {
        let strikes: Vec<String> = self.strikes.iter().map(|(strike, count)| format!("{count} {strike}")).collect();
        println!("workers: {}, interruptions: {}", self.workers, strikes.join(", "));
        let status = |status: &str| self.events.values().filter(|events| events[0]["status"] == status).count();
        println!(
            "jobs completed: {}, partial: {}, failed: {}",
            status("completed"),
            status("partial"),
            status("failed")
        );
        let logged = self.deliveries.values().map(BTreeMap::len).sum::<usize>();
        let receives = self.deliveries.values().filter_map(|of_job| of_job.keys().last());
        let (receives, most) = receives.fold((0, 0), |(sum, most), count| (sum + count, most.max(*count)));
        println!("deliveries: {receives} ({logged} left a line), of one job at most {most}");
        println!(
            "given back: {}, put off: {}, leases lost: {}, not deleted: {}, found done: {}, over a death: {}",
            self.count("given back"),
            self.count("will be retried"),
            self.count("lease was lost"),
            self.count("not deleted"),
            self.count("already transcribed"),
            self.count("a worker died over this job"),
        );
        println!("windows transcribed: {} for {} in the jobs", self.inferred, self.windows);
        let duplicates = self.duplicates();
        println!(
            "events: {}, duplicates: {}",
            self.events.values().map(Vec::len).sum::<usize>(),
            duplicates.values().sum::<usize>()
        );
        for (cause, count) in duplicates {
            println!("    {count}: {cause}");
        }
    }

    /// Fails unless each of the jobs completed, each duplicate has a cause, and no worker complained of itself.
    pub fn assert_all_done<'a>(&self, jobs: impl Iterator<Item = &'a String>) {
        let jobs: BTreeSet<&String> = jobs.collect();
        assert_eq!(self.events.keys().collect::<BTreeSet<_>>(), jobs, "lost or invented");
        for (job, events) in &self.events {
            assert!(events.iter().all(|event| event["status"] == "completed"), "{job}: {events:#?}");
        }
        assert!(self.bugs.is_empty(), "{:#?}", self.bugs);
        assert_eq!(self.duplicates().get(&Cause::Unexplained), None, "{}", self.unexplained());
    }

    /// What is known of the jobs whose events nobody can explain.
    fn unexplained(&self) -> String {
        let mut told = String::new();
        for (job, events) in self.events.iter().filter(|(_, events)| events.len() > 1) {
            let said = self.deliveries.get(job).into_iter().flatten();
            let said: Vec<String> =
                said.map(|(n, delivery)| format!("{n} {:?} {:#?}", delivery.strike, delivery.said)).collect();
            told += &format!("{job}: {} events\n{}\n", events.len(), said.join("\n"));
        }
        told
    }
}
