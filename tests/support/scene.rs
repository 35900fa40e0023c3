//! What most tests begin with: a server on a Redis and a database of its own, and somebody with a token.

use super::database::Database;
use super::eventually::eventually;
use super::people::Person;
use super::redis::Redis;
use super::server::Server;
use super::server_options::ServerOptions;
use super::sse::Sse;
use super::websocket::Ws;

/// The server and what it stands on. Everything ends with this value.
pub struct Scene {
    pub server: Server,
    pub redis: Redis,
    pub db: Database,
    /// Her token has the scope `read`.
    pub alice: Person,
}

impl Scene {
    pub async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    /// With a server that is started in another way.
    pub async fn start_with(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let (redis, db) = (Redis::start().await, Database::create().await);
        let alice = db.person("alice").await;
        let server = change(Server::options(&redis, &db)).start().await;
        Self { server, redis, db, alice }
    }

    /// Alice's WebSocket.
    pub async fn ws(&self, target: &str) -> Ws {
        Ws::open(&self.server, target, &self.alice.token).await
    }

    /// Alice's event stream.
    pub async fn sse(&self, target: &str) -> Sse {
        Sse::open(&self.server, target, &self.alice.token).await
    }

    /// Waits until exactly these channels are subscribed, but for the control channels of sessions.
    #[track_caller]
    pub fn wait_for_channels(&self, channels: &[&str]) -> impl Future<Output = ()> + Send {
        let mut wanted: Vec<String> = channels.iter().map(|channel| (*channel).to_owned()).collect();
        wanted.sort();
        wanted.dedup();
        eventually(format!("subscription of exactly {wanted:?}"), move || {
            let wanted = wanted.clone();
            async move {
                let found = stream_channels(&self.redis).await;
                if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
            }
        })
    }

    /// Waits until nothing of any session is left: no client, no channel.
    #[track_caller]
    pub fn wait_for_nobody(&self) -> impl Future<Output = ()> + Send {
        eventually("end of all sessions", || async {
            let channels = self.redis.subscriptions().await;
            let text = self.server.get("/metrics").await.text();
            let open = |line: &&str| {
                let counts = line.starts_with("connected_clients{") || line.starts_with("connected_channels{");
                counts && !line.ends_with(" 0")
            };
            let left: Vec<&str> = text.lines().filter(open).collect();
            if channels.is_empty() && left.is_empty() { Ok(()) } else { Err(format!("{channels:?}, {left:?}")) }
        })
    }
}

/// All channels to which anybody is subscribed, but for those on which sessions are controlled, sorted.
pub async fn stream_channels(redis: &Redis) -> Vec<String> {
    let is_control =
        |channel: &String| channel.contains("timeline:access_token:") || channel.contains("timeline:system:");
    let channels = redis.subscriptions().await;
    channels.into_iter().filter(|channel| !is_control(channel)).collect()
}
