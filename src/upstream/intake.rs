//! From the client library to the sink. The library keeps a fixed number of messages for whoever listens and gives up the
//! oldest, so they are taken from it as fast as they come, and delivered by another task.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use fred::types::{Message, Value};
use parking_lot::Mutex;
use tokio::sync::{
    Notify,
    broadcast::{self, error::RecvError, error::TryRecvError},
};

use super::Sink;

/// Bytes that may wait to be delivered. Beyond it new messages are lost, which is counted.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Messages that were received and wait to be delivered, of one connection after the other.
#[derive(Debug, Default)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Intake {
    /// Receives messages until the library says that no more will come.
    pub(super) async fn receive(&self, mut messages: broadcast::Receiver<Message>, sink: &dyn Sink) {
        loop {
            let mut lost = match messages.recv().await {
                Ok(message) => self.put(message),
                Err(RecvError::Lagged(lost)) => lost,
                Err(RecvError::Closed) => return,
            };
            // Not by waiting for them, which would make way for other tasks after a number of messages: for the library
            // too, which receives thousands at once.
            loop {
                lost += match messages.try_recv() {
                    Ok(message) => self.put(message),
                    Err(TryRecvError::Lagged(lost)) => lost,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                };
            }
            self.filled.notify_one();
            if lost > 0 {
                tracing::error!(messages = lost, "events were lost: they came faster than they could be taken");
                sink.lagged(lost);
            }
        }
    }

    /// How many messages are lost by this: one if there is no room for it.
    fn put(&self, message: Message) -> u64 {
        let mut waiting = self.waiting.lock();
        let bytes = bytes_of(&message);
        if waiting.bytes + bytes > MAX_BYTES && !waiting.messages.is_empty() {
            return 1;
        }
        waiting.bytes += bytes;
        waiting.messages.push_back(message);
        0
    }

    fn take(&self) -> Option<Message> {
        let mut waiting = self.waiting.lock();
        let message = waiting.messages.pop_front();
        match &message {
            Some(message) => waiting.bytes -= bytes_of(message),
            // What a burst needed is not kept.
            None => waiting.messages = VecDeque::new(),
        }
        message
    }

    /// Hands everything on, in the order in which it was received; runs for ever.
    pub(super) async fn deliver(&self, prefix: &str, sink: Arc<dyn Sink>) {
        loop {
            while let Some(message) = self.take() {
                // A message that nobody could foresee costs itself, and is in the log; what follows is delivered.
                let _ = catch_unwind(AssertUnwindSafe(|| hand_on(&message, prefix, &*sink)));
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
    message.channel.len() + value
}

fn hand_on(message: &Message, prefix: &str, sink: &dyn Sink) {
    let Some(channel) = message.channel.strip_prefix(prefix) else { return };
    match &message.value {
        Value::String(text) => sink.receive(channel, text),
        Value::Bytes(bytes) => sink.receive(channel, &String::from_utf8_lossy(bytes)),
        other => sink.receive(channel, &other.as_string().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use fred::types::{MessageKind, config::Server};

    use super::*;

    #[derive(Default)]
    struct Noted {
        received: Mutex<Vec<String>>,
        lost: Mutex<u64>,
    }

    impl Sink for Noted {
        fn receive(&self, channel: &str, message: &str) {
            assert_ne!(message, "unforeseen");
            self.received.lock().push(format!("{channel} {message}"));
        }

        fn lagged(&self, messages: u64) {
            *self.lost.lock() += messages;
        }

        fn interrupted(&self) {}
    }

    fn message(channel: &str, value: impl Into<Value>) -> Message {
        let (kind, server) = (MessageKind::Message, Server::new("localhost", 6_379));
        Message { channel: channel.into(), value: value.into(), kind, server }
    }

    /// What of these comes out at the other end, and how many were lost.
    async fn passed(capacity: usize, messages: Vec<Message>) -> (Vec<String>, u64) {
        let (sender, receiver) = broadcast::channel(capacity);
        let (intake, sink) = (Intake::default(), Arc::new(Noted::default()));
        for message in messages {
            let _ = sender.send(message);
        }
        drop(sender);
        intake.receive(receiver, &*sink).await;
        let delivering = intake.deliver("ns:", sink.clone());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), delivering).await;
        (std::mem::take(&mut sink.received.lock()), *sink.lost.lock())
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_handed_on_in_their_order_without_the_prefix() {
        let messages = vec![message("ns:a", "1"), message("ns:b", "2"), message("other", "3"), message("ns:a", "4")];
        assert_eq!(passed(16, messages).await, (vec!["a 1".to_owned(), "b 2".to_owned(), "a 4".to_owned()], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_one_message() {
        let messages = vec![message("ns:a", "1"), message("ns:a", "unforeseen"), message("ns:a", "2")];
        assert_eq!(passed(16, messages).await.0, ["a 1", "a 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_library_gave_up_is_counted() {
        let messages = (0..10).map(|number| message("ns:a", number.to_string())).collect();
        let (received, lost) = passed(4, messages).await;
        assert_eq!((received.len(), lost), (4, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_is_counted() {
        let large = || message("ns:a", Value::Bytes(vec![b'x'; MAX_BYTES / 2].into()));
        let (received, lost) = passed(8, vec![large(), large(), message("ns:a", "small")]).await;
        assert_eq!((received.len(), lost), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_over_the_limit_passes_alone() {
        let large = message("ns:a", Value::Bytes(vec![b'x'; MAX_BYTES + 1].into()));
        assert_eq!(passed(8, vec![large]).await.0.len(), 1);
    }
}
