//! How far an engine is trusted, and with it who is to blame when a window fails: the window or the machine.
//!
//! Blame needs a witness. After each trouble (a death, a hang, a refusal, a start that failed) the engine is *doubted*: it gets
//! no job's window until it has answered another one, a probe of noise where there is none. So a window that fails an engine a
//! second time, alone, when that engine has answered since the first, is guilty; where the witness fails too it is the machine.
//! What it failed on another engine does not count: that one may be ill, and nothing is known of it since.

use std::time::Duration;

use tokio::time::Instant;

use super::probe::Probe;
use super::task::Task;

/// Processes in a row that answered nothing before their engine counts as lost.
pub const LOST_AFTER: u32 = 3;

/// So many, or lost for so long, and where no other engine is left it will not be tried again: half a minute of pauses, and
/// what the loading takes.
pub const BROKEN_AFTER: u32 = 8;
const BROKEN_AFTER_TIME: Duration = Duration::from_secs(300);

const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A lost engine's: other engines do its work.
const LONGEST_PAUSE_LOST: Duration = Duration::from_secs(300);

/// What an engine has shown so far, over all its processes.
#[derive(Debug, Default)]
pub struct Trust {
    /// The engine's number.
    engine: usize,
    /// Processes in a row that failed, or did not start, without having answered anything since the last trouble.
    barren: u32,
    /// When the first of them failed.
    barren_since: Option<Instant>,
    /// Processes that failed or did not start since a job's window was last answered.
    failures: u32,
    standing: Standing,
    /// A window was found guilty, and no job's window was answered since.
    convicted: bool,
}

#[derive(Debug, Default)]
enum Standing {
    /// Neither good nor bad is known of this process.
    #[default]
    Untried,
    /// It has answered a window since the last trouble.
    Proven,
    /// It has not, and is to be probed.
    Doubted(Probe),
}

/// Of a window that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It gets a strike and runs again, alone.
    Suspect,
    /// It fails engines that do others' work.
    Guilty,
    /// As guilty, but it may be the machine: short of memory, or (the second window in a row that only a probe speaks against)
    /// unable to do what a probe does not ask for.
    NotProven,
}

impl Trust {
    /// Of the engine of this number, which has shown nothing yet.
    pub fn of(engine: usize) -> Self {
        Self { engine, ..Self::default() }
    }

    /// Another process is ready, which alone says nothing: what was doubted is.
    pub fn started(&mut self) {
        if matches!(self.standing, Standing::Proven) {
            self.standing = Standing::Untried;
        }
    }

    /// A job's window was answered.
    pub fn answered(&mut self) {
        self.proved();
        (self.failures, self.convicted) = (0, false);
    }

    /// A probe was answered.
    pub fn proved(&mut self) {
        (self.barren, self.barren_since, self.standing) = (0, None, Standing::Proven);
    }

    /// A process died, was killed `from_outside`, or had to be killed; these of its windows may be why. Their verdicts, in
    /// their order.
    pub fn died(&mut self, accused: &[Task], from_outside: bool) -> Vec<Verdict> {
        let verdicts = accused.iter().map(|task| match self.judge(task) {
            // memory is short on this machine, whatever the window is
            Verdict::Guilty if from_outside => Verdict::NotProven,
            verdict => verdict,
        });
        let verdicts = verdicts.collect();
        self.failures = self.failures.saturating_add(1);
        if !matches!(self.standing, Standing::Proven) {
            self.barren = self.barren.saturating_add(1);
            self.barren_since.get_or_insert_with(Instant::now);
        }
        self.doubt(accused);
        verdicts
    }

    /// A process did not start.
    pub fn did_not_start(&mut self) {
        self.died(&[], false);
    }

    /// A process refused this window.
    pub fn refused(&mut self, task: &Task) -> Verdict {
        let verdict = self.judge(task);
        self.doubt(std::slice::from_ref(task));
        verdict
    }

    fn judge(&mut self, task: &Task) -> Verdict {
        match (task.strikes.contains(&self.engine), &self.standing) {
            (true, Standing::Proven) if self.convicted => Verdict::NotProven,
            (true, Standing::Proven) => {
                self.convicted = true;
                Verdict::Guilty
            }
            _ => Verdict::Suspect,
        }
    }

    /// From now on it is to prove itself, with as much work as the most of these windows are.
    fn doubt(&mut self, accused: &[Task]) {
        let like = accused.iter().map(Probe::like).max_by_key(Probe::samples);
        let before = self.probe().cloned();
        self.standing = Standing::Doubted(like.or(before).unwrap_or_default());
    }

    /// A process could not even be killed.
    pub fn lose(&mut self) {
        self.barren = self.barren.max(LOST_AFTER);
        self.barren_since.get_or_insert_with(Instant::now);
    }

    /// What it is to prove itself with before it gets a job's window.
    pub fn probe(&self) -> Option<&Probe> {
        match &self.standing {
            Standing::Doubted(probe) => Some(probe),
            Standing::Untried | Standing::Proven => None,
        }
    }

    /// Whether nothing says that it can do anything at all.
    pub fn is_barren(&self) -> bool {
        self.barren > 0
    }

    /// Whether it is not to be counted on.
    pub fn is_lost(&self) -> bool {
        self.barren >= LOST_AFTER
    }

    /// Whether it was tried often enough.
    pub fn is_broken(&self) -> bool {
        let long = self.barren_since.is_some_and(|since| since.elapsed() >= BROKEN_AFTER_TIME);
        self.barren >= BROKEN_AFTER || (self.is_lost() && long)
    }

    /// Before the next process: none after a process that was well. A start or a probe alone does not shorten it.
    pub fn pause(&self) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else { return Duration::ZERO };
        let longest = if self.is_lost() { LONGEST_PAUSE_LOST } else { LONGEST_PAUSE };
        SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_window_failed_on_another_engine_is_no_evidence() {
        let mut well = Trust::of(1);
        well.started();
        well.answered();
        let mut window = Probe::default().task(0);
        window.strikes = vec![0];
        // the other one may be ill, and this one had an accident
        assert_eq!(well.died(std::slice::from_ref(&window), false), [Verdict::Suspect]);
        window.strikes.push(1);
        well.started();
        well.proved();
        assert_eq!(well.died(std::slice::from_ref(&window), false), [Verdict::Guilty]);
    }
}
