//! What Mastodon would publish, prepared once, with a stamp to be filled in.

use super::stamp::Stamp;
use super::support::{Account, resp, status, update};

/// Bytes of a published message: as many as a status has that somebody wrote with care.
const SIZE: usize = 4_096;

/// The command that publishes the next event of a channel, but for its stamp.
pub struct Prepared {
    command: Vec<u8>,
    /// Where the stamp is.
    place: usize,
}

impl Prepared {
    /// For a channel, by a status of this author.
    pub fn new(channel: &str, author: i64) -> Self {
        let message = message(author);
        let command = resp::encode(&[b"PUBLISH", channel.as_bytes(), message.as_bytes()]);
        let place = Stamp::find(&command).expect("a message has a stamp");
        Self { command, place }
    }

    /// Adds the command with this stamp.
    pub fn append(&mut self, stamp: Stamp, to: &mut Vec<u8>) {
        stamp.write(&mut self.command, self.place);
        to.extend_from_slice(&self.command);
    }
}

/// A new status, with a place for the stamp, in the envelope that Mastodon puts around it.
fn message(author: i64) -> String {
    let author = Account { account_id: author, username: "heron".into(), domain: None };
    let plain = status(113_000_000_000_000_000, author);
    let stamp = Stamp::EMPTY.text();
    let stamped = |text: String| text.replacen("\"payload\":{", &format!("\"payload\":{{\"stamp\":\"{stamp}\","), 1);
    let missing = SIZE.saturating_sub(stamped(update(&plain)).len());
    stamped(update(&plain.with("spoiler_text", "All about herons. ".repeat(missing / 18))))
}
