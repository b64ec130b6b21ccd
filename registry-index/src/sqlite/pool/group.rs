//! Writers that wait at the same time share one transaction, and the one wait for the disk.
//!
//! Whoever finds nobody at work takes a blocking thread, and goes on there for all who have come
//! meanwhile, until nobody is left. Each has a savepoint of its own, so that what one of them is
//! refused leaves nothing and disturbs nobody; all are answered after the commit.

use std::{
    collections::VecDeque,
    error::Error,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use registry_core::BoxError;
use rusqlite::{Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::{Pool, at_commit, before_commit};
use crate::write_error::WriteError;

/// Most writers that share a transaction: none waits for more than so many others.
const MAX_JOBS: usize = 64;

/// Who waits to write.
#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    /// Whether somebody is at work, or about to be.
    busy: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics between taking this lock and letting go of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        self.waiting().jobs.pop_front()
    }
}

/// One writer's work, which may be done again if the transaction ended by another's fault.
trait Job: Send {
    /// Does the work.
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<(), BoxError>;
    /// Tells the writer what became of it; `Ok` after a [`Job::run`] that succeeded.
    fn answer(self: Box<Self>, fate: Result<(), WriteError>);
}

struct Write<T, F> {
    work: F,
    done: Option<T>,
    answer: oneshot::Sender<Result<T, WriteError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnMut(&Transaction<'_>) -> Result<T, BoxError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<(), BoxError> {
        self.done = Some((self.work)(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, fate: Result<(), WriteError>) {
        let Self { done, answer, .. } = *self;
        // Whoever does not listen any more does not need to know.
        let _ = answer.send(fate.map(|()| done.expect("committed after it was done")));
    }
}

impl Pool {
    /// Runs `work` in a transaction that nobody else writes beside, and commits it.
    ///
    /// `work` is run again if the transaction ended before the commit by the fault of another
    /// writer in it; nothing of the first time is left by then. Once polled, it goes on though
    /// nobody waits for it.
    pub(in super::super) async fn write<T, F>(self: &Arc<Self>, work: F) -> Result<T, WriteError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> Result<T, BoxError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let must_work = {
            let mut waiting = self.queue.waiting();
            waiting.jobs.push_back(Box::new(Write { work, done: None, answer }));
            !mem::replace(&mut waiting.busy, true)
        };
        if must_work {
            let at_work = AtWork { pool: self.clone(), has_ended: false };
            tokio::task::spawn_blocking(move || at_work.work_off());
        }
        // Without an answer, it is not known how far it came.
        answered.await.unwrap_or_else(|gone| Err(WriteError::Unknown(gone.into())))
    }

    /// Runs one transaction for those who wait.
    fn write_together(&self) {
        let mut done = Vec::new();
        let (job, error) = match self.run_transaction(&mut done) {
            Ok(()) => return done.into_iter().for_each(|job| job.answer(Ok(()))),
            Err(Ended::Commit(error)) => return answer_all(done, error),
            // None of those who wait would do better.
            Err(Ended::Begin(error)) => {
                let jobs = mem::take(&mut self.queue.waiting().jobs);
                return answer_all(jobs, before_commit(error));
            }
            Err(Ended::Job(job, error)) => (job, error),
        };
        {
            // Not at fault: first in line for the next transaction.
            let mut waiting = self.queue.waiting();
            done.into_iter().rev().for_each(|job| waiting.jobs.push_front(job));
        }
        job.answer(Err(error));
    }

    /// Puts those who are `done` in the order of their work. A connection with which something went
    /// wrong is closed on return, which undoes what was not committed.
    fn run_transaction(&self, done: &mut Vec<Box<dyn Job>>) -> Result<(), Ended> {
        let mut connection = self.take(&self.writer).map_err(Ended::Begin)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| Ended::Begin(error.into()))?;
        // Those who come while others work are taken along.
        while done.len() < MAX_JOBS
            && let Some(mut job) = self.queue.next()
        {
            match run_job(&transaction, &mut *job, done.is_empty()) {
                Ok(Ok(())) => done.push(job),
                Ok(Err(refused)) => job.answer(Err(before_commit(refused))),
                Err(error) => return Err(Ended::Job(job, error)),
            }
        }
        transaction.commit().map_err(|error| Ended::Commit(at_commit(error)))?;
        self.writer.give_back(connection);
        Ok(())
    }
}

/// How a transaction ended that was not committed.
enum Ended {
    /// It did not begin.
    Begin(BoxError),
    /// With this job, which is to be told so.
    Job(Box<dyn Job>, WriteError),
    /// In its commit.
    Commit(WriteError),
}

/// Runs one job. `Ok(Err(_))` if it failed and left the transaction as it was before, `Err` if the
/// transaction is not to be used any more.
fn run_job(
    transaction: &Transaction<'_>,
    job: &mut dyn Job,
    is_first: bool,
) -> Result<Result<(), BoxError>, WriteError> {
    // The first has nobody's work to protect, and most are alone.
    let savepoint = |sql| match is_first {
        true => Ok(0),
        false => transaction.prepare_cached(sql)?.execute([]),
    };
    let failed = |error: rusqlite::Error| before_commit(error.into());
    savepoint("SAVEPOINT job").map_err(failed)?;
    // The transaction is given up after a panic, so nothing half done is seen.
    match catch_unwind(AssertUnwindSafe(|| job.run(transaction))) {
        Ok(Ok(())) => savepoint("RELEASE job").map(|_| Ok(())).map_err(failed),
        // SQLite itself may have ended the transaction, on a full disk for one.
        Ok(Err(error))
            if is_first || transaction.is_autocommit() || savepoint("ROLLBACK TO job").is_err() =>
        {
            Err(before_commit(error))
        }
        Ok(Err(error)) => savepoint("RELEASE job").map(|_| Err(error)).map_err(failed),
        Err(_) => Err(WriteError::Unknown("a write panicked".into())),
    }
}

/// Tells all of them of one error.
fn answer_all(jobs: impl IntoIterator<Item = Box<dyn Job>>, error: WriteError) {
    let (kind, error): (fn(BoxError) -> WriteError, _) = match error {
        WriteError::Full(error) => (WriteError::Full, error),
        WriteError::Failed(error) => (WriteError::Failed, error),
        WriteError::Unknown(error) => (WriteError::Unknown, error),
    };
    let error: Arc<dyn Error + Send + Sync> = error.into();
    for job in jobs {
        job.answer(Err(kind(Box::new(error.clone()))));
    }
}

/// Whoever writes for all. Dropped before its end, by a runtime that shuts down, it leaves the work
/// to the next who comes; those who wait are told that nobody knows.
struct AtWork {
    pool: Arc<Pool>,
    has_ended: bool,
}

impl AtWork {
    /// Writes until nobody waits.
    fn work_off(mut self) {
        while !self.has_ended {
            self.pool.write_together();
            let mut waiting = self.pool.queue.waiting();
            waiting.busy = !waiting.jobs.is_empty();
            self.has_ended = !waiting.busy;
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut waiting = self.pool.queue.waiting();
            waiting.busy = false;
            let jobs = mem::take(&mut waiting.jobs);
            drop(waiting);
            drop(jobs);
        }
    }
}

#[cfg(test)]
mod tests;
