//! What happens in a Redis, as others see it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::eventually::{eventually, within};
use super::resp::{Connection, Reply};

/// The commands that a Redis executed since [`Redis::monitor`].
pub struct Monitor {
    commands: Arc<Mutex<Vec<String>>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Monitor {
    /// Of a connection on which MONITOR was answered.
    pub fn read(mut connection: Connection) -> Self {
        let commands = Arc::new(Mutex::new(Vec::new()));
        let reader = tokio::spawn({
            let commands = Arc::clone(&commands);
            async move {
                while let Ok(Reply::Status(line)) = connection.reply().await {
                    commands.lock().push(line);
                }
            }
        });
        Self { commands, reader }
    }

    /// The commands so far, as MONITOR shows them: time, database and client in brackets, then each word in quotes.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().clone()
    }

    /// Waits for the first command that contains `part`, e.g. `"SUBSCRIBE" "timeline:public"`.
    #[track_caller]
    pub fn wait_for(&self, part: &str) -> impl Future<Output = String> {
        eventually(format!("command with {part}"), move || async move {
            let commands = self.commands();
            let found = commands.iter().find(|command| command.contains(part));
            found.cloned().ok_or_else(|| format!("{} commands: {commands:#?}", commands.len()))
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A subscription to one channel.
pub struct Subscription(Connection);

impl Subscription {
    /// Of a connection on which SUBSCRIBE was answered.
    pub fn read(connection: Connection) -> Self {
        Self(connection)
    }

    /// The next message.
    pub async fn next(&mut self) -> String {
        let message = within("message of a subscription", self.0.reply()).await;
        let message = message.expect("redis is there").array();
        message[2].text().expect("a message is a text")
    }
}
