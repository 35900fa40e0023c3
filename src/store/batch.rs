//! Look-ups that arrive together go to the database together.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{StoreError, complaints::Complaints};
use crate::lifecycle::Lifecycle;

/// Look-ups that may wait to be sent. Beyond it callers wait to be let in, within their own time limit.
const QUEUE: usize = 4_096;

/// Look-ups in one statement.
const LARGEST_BATCH: usize = 1_000;

/// Statements of one kind under way at once, if the first one is slow.
const CONCURRENT: usize = 2;

/// A statement that takes longer than this waits for something. Another one starts beside it.
const SLOW: Duration = Duration::from_millis(50);

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
        let turns = Arc::new(Turns { waiting: Mutex::new(waiting), quick: Semaphore::new(1) });
        for _ in 0..CONCURRENT {
            let (turns, look_up, complaints) = (Arc::clone(&turns), look_up.clone(), Arc::clone(complaints));
            lifecycle.spawn_lasting(name, async move { serve(&turns, &complaints, look_up).await });
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
        timeout(limit, asked).await.ok()?
    }
}

/// Who sends the next statement.
#[derive(Debug)]
struct Turns<Q, A> {
    /// One takes from the queue at a time.
    waiting: Mutex<mpsc::Receiver<Waiting<Q, A>>>,
    /// Held while a statement is under way, so that those who ask meanwhile gather; but not waited for longer than it is quick.
    quick: Semaphore,
}

async fn serve<Q, A, F, Fut>(turns: &Turns<Q, A>, complaints: &Complaints, look_up: F)
where
    F: Fn(Vec<Q>) -> Fut,
    Fut: Future<Output = Result<Vec<A>, StoreError>>,
{
    let mut batch = Vec::new();
    loop {
        let mut waiting = turns.waiting.lock().await;
        let _quick = timeout(SLOW, turns.quick.acquire()).await;
        if waiting.recv_many(&mut batch, LARGEST_BATCH).await == 0 {
            return;
        }
        gather(&mut waiting, &mut batch).await;
        drop(waiting);
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

/// Lets those join whose requests have come already and are only to be read: every other task has a turn before this one
/// goes on, which takes next to no time if there is nothing for them to do.
async fn gather<W>(waiting: &mut mpsc::Receiver<W>, batch: &mut Vec<W>) {
    let mut before = 0;
    while batch.len() > before && batch.len() < LARGEST_BATCH {
        before = batch.len();
        tokio::task::yield_now().await;
        while batch.len() < LARGEST_BATCH
            && let Ok(one) = waiting.try_recv()
        {
            batch.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::task::JoinHandle;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Doubles numbers: each statement when it is let, and those with a 0 fail.
    struct Doubling {
        batch: Arc<Batch<u32, u32>>,
        /// The numbers that each statement was asked for.
        statements: Arc<Mutex<Vec<Vec<u32>>>>,
        gate: Arc<Semaphore>,
        _lifecycle: Lifecycle,
    }

    impl Doubling {
        fn new() -> Self {
            let (statements, gate) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Semaphore::new(0)));
            let (noted, opened) = (Arc::clone(&statements), Arc::clone(&gate));
            let lifecycle = Lifecycle::new();
            let batch = Batch::new("doubling", &lifecycle, &Arc::default(), move |questions: Vec<u32>| {
                noted.lock().push(questions.clone());
                let opened = Arc::clone(&opened);
                async move {
                    opened.acquire().await.expect("the gate stays").forget();
                    if questions.contains(&0) {
                        return Err(StoreError::Failed { address: "db".into(), cause: "nothing to double".into() });
                    }
                    Ok(questions.into_iter().map(|number| number * 2).collect())
                }
            });
            Self { batch: Arc::new(batch), statements, gate, _lifecycle: lifecycle }
        }

        /// Asks for each of the numbers, all at once; they wait when this returns.
        async fn ask(
            &self,
            numbers: impl IntoIterator<Item = u32>,
        ) -> Vec<JoinHandle<Option<Result<u32, StoreError>>>> {
            let asking = numbers.into_iter().map(|number| {
                let batch = Arc::clone(&self.batch);
                tokio::spawn(async move { batch.ask(number, LONG).await })
            });
            let asking = asking.collect();
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            asking
        }

        fn let_through(&self, statements: usize) {
            self.gate.add_permits(statements);
        }

        fn sizes(&self) -> Vec<usize> {
            self.statements.lock().iter().map(Vec::len).collect()
        }
    }

    async fn answer(asking: JoinHandle<Option<Result<u32, StoreError>>>) -> Result<u32, StoreError> {
        asking.await.expect("asking does not panic").expect("an answer comes in time")
    }

    #[tokio::test]
    async fn who_asks_while_nothing_is_under_way_does_not_wait_for_others() {
        let doubling = Doubling::new();
        let first = doubling.ask([1]).await;
        assert_eq!(doubling.sizes(), [1]);
        doubling.let_through(1);
        for one in first {
            assert_eq!(answer(one).await.ok(), Some(2));
        }
    }

    #[tokio::test]
    async fn who_asks_in_the_same_moment_shares_the_first() {
        let doubling = Doubling::new();
        let asking = doubling.ask(1..=20).await;
        assert_eq!(doubling.sizes(), [20]);
        doubling.let_through(1);
        for (number, one) in (1..).zip(asking) {
            assert_eq!(answer(one).await.ok(), Some(number * 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_a_statement_is_under_way_shares_the_next() {
        let doubling = Doubling::new();
        let mut asking = doubling.ask([1]).await;
        asking.extend(doubling.ask(2..=300).await);
        assert_eq!(doubling.sizes(), [1]);
        doubling.let_through(2);
        for (number, one) in (1..).zip(asking) {
            assert_eq!(answer(one).await.ok(), Some(number * 2));
        }
        assert_eq!(doubling.sizes(), [1, 299]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_statement_asks_for_more_than_it_may() {
        let doubling = Doubling::new();
        let mut asking = doubling.ask([1]).await;
        asking.extend(doubling.ask(2..=2_500).await);
        doubling.let_through(10);
        for one in asking {
            assert!(answer(one).await.is_ok());
        }
        assert_eq!(doubling.sizes(), [1, 1_000, 1_000, 499]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_statement_starts_beside_one_that_is_slow_and_no_third() {
        let doubling = Doubling::new();
        let mut asking = doubling.ask([1]).await;
        asking.extend(doubling.ask([2, 3]).await);
        tokio::time::sleep(SLOW + Duration::from_millis(1)).await;
        assert_eq!(doubling.sizes(), [1, 2]);
        asking.extend(doubling.ask([4]).await);
        tokio::time::sleep(SLOW * 2).await;
        assert_eq!(doubling.sizes(), [1, 2]);
        doubling.let_through(3);
        for one in asking {
            assert!(answer(one).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_the_statement_is_not_asked_for_and_harms_nobody() {
        let doubling = Doubling::new();
        let mut asking = doubling.ask([1]).await;
        asking.extend(doubling.ask([2, 3, 4]).await);
        asking.remove(2).abort();
        doubling.let_through(2);
        for (one, expected) in asking.into_iter().zip([2, 4, 8]) {
            assert_eq!(answer(one).await.ok(), Some(expected));
        }
        assert_eq!(*doubling.statements.lock(), [vec![1], vec![2, 4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_during_the_statement_harms_nobody() {
        let doubling = Doubling::new();
        let mut asking = doubling.ask([1]).await;
        asking.extend(doubling.ask([2, 3]).await);
        doubling.let_through(1);
        assert_eq!(answer(asking.remove(0)).await.ok(), Some(2));
        doubling.ask([]).await;
        assert_eq!(doubling.sizes(), [1, 2], "the second statement is under way");
        asking.remove(0).abort();
        doubling.let_through(1);
        assert_eq!(answer(asking.remove(0)).await.ok(), Some(6));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_told_to_all_who_shared_the_statement_and_to_nobody_else() {
        let doubling = Doubling::new();
        let mut asking = doubling.ask([1]).await;
        asking.extend(doubling.ask([0, 2, 2]).await);
        doubling.let_through(1);
        assert_eq!(answer(asking.remove(0)).await.ok(), Some(2));
        asking.extend(doubling.ask([3]).await);
        doubling.let_through(2);
        let last = asking.pop().expect("there are four");
        for one in asking {
            let error = answer(one).await.expect_err("the statement fails");
            assert!(error.to_string().contains("nothing to double"), "{error}");
        }
        assert_eq!(answer(last).await.ok(), Some(6));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_in_time_is_none() {
        let doubling = Doubling::new();
        assert!(doubling.batch.ask(1, Duration::from_secs(15)).await.is_none());
    }
}
