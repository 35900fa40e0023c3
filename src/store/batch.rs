//! Look-ups that arrive together go to the database together.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{StoreError, complaints::Complaints};
use crate::lifecycle::Lifecycle;

/// Look-ups that may wait to be sent. Beyond it callers wait to be let in, within their own time limit.
const QUEUE: usize = 4_096;

/// Look-ups in one statement.
const LARGEST_BATCH: usize = 1_000;

/// Statements of one kind under way at once: while one waits for the database, a second may start.
const CONCURRENT: usize = 2;

type Waiting<Q, A> = (Q, oneshot::Sender<Result<A, StoreError>>);

/// A kind of look-up. Whoever asks while a statement is under way shares the next one with all others who do.
#[derive(Debug)]
pub(super) struct Batch<Q, A> {
    queue: mpsc::Sender<Waiting<Q, A>>,
}

impl<Q: Send + 'static, A: Send + 'static> Batch<Q, A> {
    /// `look_up` answers several questions with one statement, in their order.
    pub(super) fn new<F, Fut>(
        name: &'static str,
        lifecycle: &Lifecycle,
        complaints: &Arc<Complaints>,
        look_up: F,
    ) -> Self
    where
        F: Fn(Vec<Q>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..CONCURRENT {
            let (waiting, look_up, complaints) = (waiting.clone(), look_up.clone(), Arc::clone(complaints));
            lifecycle.spawn_lasting(name, async move { serve(&waiting, &complaints, look_up).await });
        }
        Self { queue }
    }

    /// Asks, and waits for the answer at most this long.
    pub(super) async fn ask(&self, question: Q, limit: Duration) -> Option<Result<A, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.queue.send((question, answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(limit, asked).await.ok()?
    }
}

async fn serve<Q, A, F, Fut>(
    waiting: &tokio::sync::Mutex<mpsc::Receiver<Waiting<Q, A>>>,
    complaints: &Complaints,
    look_up: F,
) where
    F: Fn(Vec<Q>) -> Fut,
    Fut: Future<Output = Result<Vec<A>, StoreError>>,
{
    let mut batch = Vec::new();
    loop {
        let received = waiting.lock().await.recv_many(&mut batch, LARGEST_BATCH).await;
        if received == 0 {
            return;
        }
        // Who has gone away in the meantime needs no answer.
        let (questions, answers): (Vec<Q>, Vec<_>) = batch.drain(..).filter(|(_, answer)| !answer.is_closed()).unzip();
        if questions.is_empty() {
            continue;
        }
        match look_up(questions).await {
            Ok(found) => {
                debug_assert_eq!(found.len(), answers.len(), "every question has an answer");
                for (answer, found) in answers.into_iter().zip(found) {
                    let _ = answer.send(Ok(found));
                }
            }
            Err(error) => {
                if let Some(lookups) = complaints.failed(&error, answers.len()) {
                    tracing::warn!(%error, lookups, "accounts could not be looked up");
                }
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn questions_that_arrive_during_a_statement_share_the_next() {
        let statements = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let (counted, opened) = (statements.clone(), gate.clone());
        let lifecycle = Lifecycle::new();
        let batch = Arc::new(Batch::new("doubling", &lifecycle, &Arc::default(), move |questions: Vec<u32>| {
            let (counted, opened) = (counted.clone(), opened.clone());
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                opened.acquire().await.expect("the gate stays").forget();
                Ok(questions.into_iter().map(|number| number * 2).collect())
            }
        }));
        let asking: Vec<_> = (0..100)
            .map(|number| {
                let batch = batch.clone();
                tokio::spawn(async move { batch.ask(number, LONG).await })
            })
            .collect();
        gate.add_permits(1_000);
        for (number, answer) in asking.into_iter().enumerate() {
            let answer = answer.await.expect("asking does not panic").expect("an answer comes in time");
            assert_eq!(answer.expect("the look-up succeeds"), u32::try_from(number).expect("a small number") * 2);
        }
        let statements = statements.load(Ordering::SeqCst);
        assert!(statements <= CONCURRENT + 2, "{statements} statements for 100 questions asked at once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_in_time_is_none() {
        let lifecycle = Lifecycle::new();
        let batch: Batch<u32, u32> = Batch::new("never", &lifecycle, &Arc::default(), |_| std::future::pending());
        assert!(batch.ask(1, Duration::from_secs(15)).await.is_none());
    }
}
