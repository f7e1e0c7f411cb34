//! The line in which windows wait: a fair share for each tenant, and within a tenant for each job by its priority. Nobody
//! starves: each turn costs who had it, and the next is whose cost is least (stride scheduling: Waldspurger and Weihl, 1995).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::task::{SessionId, Share, Task};

/// Who waits, by tenant and by job.
#[derive(Debug, Default)]
pub struct Line {
    tenants: Vec<Tenant>,
    costs: Costs<Option<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Tenant {
    name: Option<Arc<str>>,
    cost: f64,
    jobs: Vec<Job>,
    costs: Costs<SessionId>,
}

#[derive(Debug)]
struct Job {
    session: SessionId,
    weight: u8,
    cost: f64,
    tasks: VecDeque<Task>,
}

/// What those had who wait no more: who comes again soon has not lost what the turns cost.
#[derive(Debug)]
struct Costs<K> {
    /// The cost of whoever had the last turn: who comes begins there, so that nobody saves turns up.
    now: f64,
    left: BTreeMap<K, f64>,
}

impl<K> Default for Costs<K> {
    fn default() -> Self {
        Self { now: 0.0, left: BTreeMap::new() }
    }
}

impl<K: Ord> Costs<K> {
    /// Of who comes.
    fn begin(&mut self, who: &K) -> f64 {
        self.left.remove(who).unwrap_or_default().max(self.now)
    }

    /// Somebody with this cost has a turn.
    fn turn(&mut self, cost: f64) {
        self.now = self.now.max(cost);
        let now = self.now;
        self.left.retain(|_, left| *left > now);
    }
}

impl Line {
    /// Puts a window behind the others of its job.
    pub fn push(&mut self, task: Task) {
        self.job(&task).tasks.push_back(task);
    }

    /// Puts a window before all others, those of other tenants too.
    pub fn push_front(&mut self, task: Task) {
        let (name, session) = (task.share.tenant.clone(), task.session);
        self.job(&task).tasks.push_front(task);
        if let Some(at) = self.tenants.iter().position(|tenant| tenant.name == name) {
            let mut tenant = self.tenants.remove(at);
            if let Some(at) = tenant.jobs.iter().position(|job| job.session == session) {
                let job = tenant.jobs.remove(at);
                let cost = tenant.jobs.iter().map(|job| job.cost).fold(job.cost, f64::min);
                tenant.jobs.insert(0, Job { cost, ..job });
            }
            tenant.cost = self.tenants.iter().map(|tenant| tenant.cost).fold(tenant.cost, f64::min);
            self.tenants.insert(0, tenant);
        }
    }

    /// The next window.
    pub fn pop(&mut self) -> Option<Task> {
        let at = least(self.tenants.iter().map(|tenant| tenant.cost))?;
        let tenant = self.tenants.get_mut(at)?;
        let job_at = least(tenant.jobs.iter().map(|job| job.cost))?;
        let job = tenant.jobs.get_mut(job_at)?;
        let task = job.tasks.pop_front();
        tenant.costs.turn(job.cost);
        self.costs.turn(tenant.cost);
        job.cost += 1.0 / f64::from(job.weight.max(1));
        tenant.cost += 1.0;
        self.leave_out_empty();
        task
    }

    /// Takes out the windows of a job.
    pub fn forget(&mut self, session: SessionId) {
        self.tenants.iter_mut().for_each(|tenant| tenant.jobs.retain(|job| job.session != session));
        self.leave_out_empty();
    }

    /// All windows that wait, taken out.
    pub fn take_all(&mut self) -> impl Iterator<Item = Task> + use<> {
        std::mem::take(&mut self.tenants).into_iter().flat_map(|tenant| tenant.jobs).flat_map(|job| job.tasks)
    }

    /// How many windows wait.
    pub fn windows(&self) -> usize {
        self.tenants.iter().flat_map(|tenant| &tenant.jobs).map(|job| job.tasks.len()).sum()
    }

    /// The place of a window's job.
    fn job(&mut self, task: &Task) -> &mut Job {
        let Share { tenant: name, weight } = &task.share;
        let tenant = match self.tenants.iter().position(|tenant| tenant.name == *name) {
            Some(at) => at,
            None => {
                let cost = self.costs.begin(name);
                self.tenants.push(Tenant { name: name.clone(), cost, ..Tenant::default() });
                self.tenants.len() - 1
            }
        };
        let tenant = &mut self.tenants[tenant];
        let job = match tenant.jobs.iter().position(|job| job.session == task.session) {
            Some(at) => at,
            None => {
                let cost = tenant.costs.begin(&task.session);
                tenant.jobs.push(Job { session: task.session, weight: *weight, cost, tasks: VecDeque::new() });
                tenant.jobs.len() - 1
            }
        };
        &mut tenant.jobs[job]
    }

    fn leave_out_empty(&mut self) {
        for tenant in &mut self.tenants {
            let costs = &mut tenant.costs;
            tenant.jobs.retain(|job| {
                if job.tasks.is_empty() {
                    costs.left.insert(job.session, job.cost);
                }
                !job.tasks.is_empty()
            });
        }
        let costs = &mut self.costs;
        self.tenants.retain(|tenant| {
            if tenant.jobs.is_empty() {
                costs.left.insert(tenant.name.clone(), tenant.cost);
            }
            !tenant.jobs.is_empty()
        });
    }
}

/// The first of the least.
fn least(costs: impl Iterator<Item = f64>) -> Option<usize> {
    costs.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
}
