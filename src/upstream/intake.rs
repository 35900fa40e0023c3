//! From the client library to the sink. The library keeps a fixed number of messages for whoever listens and gives up the
//! oldest, so they are taken from it as fast as they come, and delivered by another task.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use fred::types::{Message, Value};
use parking_lot::Mutex;
use tokio::{
    sync::{
        Notify,
        broadcast::{self, error::RecvError, error::TryRecvError},
    },
    time::Instant,
};

use super::Sink;
use crate::telemetry::Metrics;

/// Bytes that may wait to be delivered. Beyond it new messages are lost, which is counted, until half of it is free again:
/// one long loss, where otherwise there would be many short ones.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What waited for less time goes on as it happens: to look for watchers who came meanwhile is not worth it.
const MOMENT: Duration = Duration::from_millis(50);

/// What was heard and waits to be handed on, of one connection after the other. Breaks stand in their place among the
/// messages, so that whoever takes them knows what came before and what after.
#[derive(Debug)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    filled: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Waiting {
    news: VecDeque<News>,
    bytes: usize,
    is_full: bool,
}

/// What can be heard from Redis.
#[derive(Debug)]
pub(super) enum News {
    /// A message, as the client library gives it, and when.
    Message(Message, Instant),
    /// A message that this process published to itself: channel and text.
    Own(Arc<str>, Arc<str>),
    /// This many messages were lost here.
    Lost(u64),
    /// The connection ended.
    Broken,
    /// Everything is subscribed that was wanted when so many changes had been asked for.
    Subscribed(u64),
    /// A connection is there, and everything wanted is subscribed.
    Connected,
}

impl Waiting {
    fn lose(&mut self, messages: u64) {
        if let Some(News::Lost(lost)) = self.news.back_mut() {
            *lost += messages;
        } else {
            self.news.push_back(News::Lost(messages));
        }
    }
}

impl Intake {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new(), metrics }
    }

    /// Receives messages until the library says that no more will come.
    pub(super) async fn receive(&self, mut messages: broadcast::Receiver<Message>) {
        loop {
            match messages.recv().await {
                Ok(message) => self.put_message(message),
                Err(RecvError::Lagged(lost)) => self.put_loss(lost),
                Err(RecvError::Closed) => return,
            }
            // Not by waiting for them, which would make way for other tasks after a number of messages: for the library
            // too, which receives thousands at once.
            loop {
                match messages.try_recv() {
                    Ok(message) => self.put_message(message),
                    Err(TryRecvError::Lagged(lost)) => self.put_loss(lost),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            self.filled.notify_one();
        }
    }

    /// News other than messages.
    pub(super) fn put(&self, news: News) {
        self.waiting.lock().news.push_back(news);
        self.filled.notify_one();
    }

    fn put_message(&self, message: Message) {
        self.metrics.redis_messages_received.inc();
        let mut waiting = self.waiting.lock();
        let bytes = waiting.bytes + bytes_of(&message);
        waiting.is_full =
            if waiting.is_full { waiting.bytes > MAX_BYTES / 2 } else { bytes > MAX_BYTES && waiting.bytes > 0 };
        if waiting.is_full {
            return waiting.lose(1);
        }
        waiting.bytes = bytes;
        waiting.news.push_back(News::Message(message, Instant::now()));
        if waiting.news.len() == 1 {
            self.filled.notify_one();
        }
    }

    fn put_loss(&self, messages: u64) {
        self.waiting.lock().lose(messages);
    }

    fn take(&self) -> Option<News> {
        let mut waiting = self.waiting.lock();
        let news = waiting.news.pop_front();
        match &news {
            Some(News::Message(message, _)) => waiting.bytes -= bytes_of(message),
            Some(_) => {}
            // What a burst needed is not kept.
            None => waiting.news = VecDeque::new(),
        }
        news
    }

    /// Hands everything on, in the order in which it was heard; runs for ever.
    pub(super) async fn deliver(&self, prefix: &str, sink: Arc<dyn Sink>) {
        loop {
            while let Some(news) = self.take() {
                // A message that nobody could foresee costs itself; what follows is delivered.
                if catch_unwind(AssertUnwindSafe(|| hand_on(&news, prefix, &*sink))).is_err() {
                    sink.lagged(1);
                }
                // A long queue must not keep a processor from others.
                tokio::task::coop::consume_budget().await;
            }
            self.filled.notified().await;
        }
    }
}

fn bytes_of(message: &Message) -> usize {
    let value = match &message.value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    size_of::<News>() + message.channel.len() + value
}

fn hand_on(news: &News, prefix: &str, sink: &dyn Sink) {
    match news {
        News::Message(message, heard) => hand_on_message(message, heard.elapsed(), prefix, sink),
        News::Own(channel, text) => sink.receive(channel, text, Duration::ZERO),
        News::Lost(messages) => {
            tracing::error!(messages, "events were lost: they came faster than they could be taken");
            sink.lagged(*messages);
        }
        News::Broken => sink.broken(),
        News::Subscribed(changes) => sink.subscribed(*changes),
        News::Connected => sink.connected(),
    }
}

fn hand_on_message(message: &Message, waited: Duration, prefix: &str, sink: &dyn Sink) {
    let Some(channel) = message.channel.strip_prefix(prefix) else { return };
    let age = if waited < MOMENT { Duration::ZERO } else { waited };
    match &message.value {
        Value::String(text) => sink.receive(channel, text, age),
        Value::Bytes(bytes) => sink.receive(channel, &String::from_utf8_lossy(bytes), age),
        other => sink.receive(channel, &other.as_string().unwrap_or_default(), age),
    }
}

#[cfg(test)]
mod tests {
    use fred::types::{MessageKind, config::Server};

    use super::*;

    #[derive(Default)]
    struct Noted(Mutex<Vec<String>>);

    impl Sink for Noted {
        fn receive(&self, channel: &str, message: &str, age: Duration) {
            assert_ne!(message, "unforeseen");
            let waited = if age.is_zero() { String::new() } else { format!(" after {} ms", age.as_millis()) };
            self.0.lock().push(format!("{channel} {message}{waited}"));
        }

        fn lagged(&self, messages: u64) {
            self.0.lock().push(format!("lost {messages}"));
        }

        fn broken(&self) {
            self.0.lock().push("broken".to_owned());
        }

        fn subscribed(&self, changes: u64) {
            self.0.lock().push(format!("subscribed {changes}"));
        }

        fn connected(&self) {
            self.0.lock().push("connected".to_owned());
        }
    }

    fn message(channel: &str, value: impl Into<Value>) -> Message {
        let (kind, server) = (MessageKind::Message, Server::new("localhost", 6_379));
        Message { channel: channel.into(), value: value.into(), kind, server }
    }

    /// What was noted of everything that waits.
    async fn noted(intake: &Intake) -> Vec<String> {
        let sink = Arc::<Noted>::default();
        let delivering = intake.deliver("ns:", sink.clone());
        let _ = tokio::time::timeout(Duration::from_secs(60), delivering).await;
        std::mem::take(&mut sink.0.lock())
    }

    /// What of these comes out at the other end.
    async fn passed(capacity: usize, messages: Vec<Message>) -> Vec<String> {
        let (sender, receiver) = broadcast::channel(capacity);
        let intake = Intake::new(Arc::default());
        for message in messages {
            let _ = sender.send(message);
        }
        drop(sender);
        intake.receive(receiver).await;
        noted(&intake).await
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_handed_on_in_their_order_without_the_prefix() {
        let messages = vec![message("ns:a", "1"), message("ns:b", "2"), message("other", "3"), message("ns:a", "4")];
        assert_eq!(passed(16, messages).await, ["a 1", "b 2", "a 4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_waited_says_for_how_long_so_that_who_came_meanwhile_does_not_get_it() {
        let intake = Intake::new(Arc::default());
        intake.put_message(message("ns:a", "1"));
        tokio::time::advance(Duration::from_secs(3)).await;
        intake.put_message(message("ns:a", "2"));
        tokio::time::advance(Duration::from_millis(49)).await;
        assert_eq!(noted(&intake).await, ["a 1 after 3049 ms", "a 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_one_message() {
        let messages = vec![message("ns:a", "1"), message("ns:a", "unforeseen"), message("ns:a", "2")];
        assert_eq!(passed(16, messages).await, ["a 1", "lost 1", "a 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_library_gave_up_is_counted_where_it_is_missing() {
        let messages = (0..6).map(|number| message("ns:a", number.to_string())).collect();
        assert_eq!(passed(4, messages).await, ["lost 2", "a 2", "a 3", "a 4", "a 5"]);
    }

    fn large(share: usize) -> Message {
        message("ns:a", Value::Bytes(vec![b'x'; MAX_BYTES / share].into()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_is_counted_where_it_is_missing() {
        let intake = Intake::new(Arc::default());
        for message in [large(2), large(2), message("ns:a", "small")] {
            intake.put_message(message);
        }
        let received = noted(&intake).await;
        assert_eq!((received.len(), received[1].as_str()), (2, "lost 2"));
        intake.put_message(message("ns:a", "later"));
        assert_eq!(noted(&intake).await, ["a later"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_takes_nothing_until_half_of_it_is_free() {
        let intake = Intake::new(Arc::default());
        for _ in 0..4 {
            intake.put_message(large(4));
        }
        intake.take();
        intake.put_message(message("ns:a", "1"));
        intake.take();
        intake.put_message(message("ns:a", "2"));
        let received = noted(&intake).await;
        assert_eq!(received[1..], ["lost 2", "a 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_over_the_limit_passes_alone() {
        let large = message("ns:a", Value::Bytes(vec![b'x'; MAX_BYTES + 1].into()));
        assert_eq!(passed(8, vec![large]).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn breaks_stand_between_what_came_before_and_after_them() {
        let intake = Intake::new(Arc::default());
        intake.put_message(message("ns:a", "1"));
        intake.put(News::Broken);
        intake.put(News::Subscribed(7));
        intake.put(News::Connected);
        intake.put_message(message("ns:a", "2"));
        assert_eq!(noted(&intake).await, ["a 1", "broken", "subscribed 7", "connected", "a 2"]);
    }
}
