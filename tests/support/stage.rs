//! A server with everything it needs, and clients that are known to be subscribed.

use serde_json::Value;

use super::database::Database;
use super::eventually::eventually;
use super::people::Person;
use super::redis::Redis;
use super::server::Server;
use super::server_options::ServerOptions;
use super::sse::Sse;
use super::statuses::Marker;
use super::websocket::Ws;

/// A Redis, a database and a server of one test.
pub struct Stage {
    // Before what it stands on: fields are dropped in this order.
    pub server: Server,
    pub redis: Redis,
    pub db: Database,
}

impl Stage {
    /// A server with nothing special.
    pub async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    /// With a server that is started in another way.
    pub async fn start_with(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let (redis, db) = tokio::join!(Redis::start(), Database::create());
        let server = change(Server::options(&redis, &db)).start().await;
        Self { server, redis, db }
    }

    /// A WebSocket subscribed to a stream, given as in the query: `public`, `hashtag&tag=cats`.
    pub async fn ws(&self, viewer: &Person, stream: &str) -> Ws {
        let mut ws = Ws::open(&self.server, &format!("/api/v1/streaming?stream={stream}"), &viewer.token).await;
        ws.silent_so_far().await;
        self.subscribed(viewer, stream).await;
        ws
    }

    /// The same stream as server-sent events.
    pub async fn sse(&self, viewer: &Person, stream: &str) -> Sse {
        let (name, parameters) = stream.split_once('&').unwrap_or((stream, ""));
        let target = format!("/api/v1/streaming/{}?{parameters}", name.replace(':', "/"));
        let sse = Sse::open(&self.server, &target, &viewer.token).await;
        self.subscribed(viewer, stream).await;
        sse
    }

    /// The same stream on both transports.
    pub async fn both(&self, viewer: &Person, stream: &str) -> Both {
        Both { ws: self.ws(viewer, stream).await, sse: self.sse(viewer, stream).await }
    }

    pub async fn publish(&self, channel: &str, message: impl AsRef<[u8]>) {
        let receivers = self.redis.publish(channel, message).await;
        assert_ne!(receivers, 0, "nobody is subscribed to {channel}");
    }

    /// How many events the server has dropped for a cause.
    pub async fn dropped_events(&self, cause: &str) -> f64 {
        self.server.metric("flodgatt_events_dropped_total", &[("cause", cause)]).await
    }

    /// How many deliveries of an event to a viewer the server has dropped because it could not be screened.
    pub async fn failed_screenings(&self) -> f64 {
        self.server.metric("flodgatt_deliveries_dropped_total", &[("cause", "screening_failed")]).await
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

    /// Waits for Redis to have what the server must subscribe to for a viewer of this stream.
    async fn subscribed(&self, viewer: &Person, stream: &str) {
        let token = format!("timeline:access_token:{}", viewer.token_id);
        let system = format!("timeline:system:{}", viewer.account_id);
        for channel in [token, system, channel_of(viewer, stream)] {
            self.redis.wait_for_subscribers(&channel, 1).await;
        }
    }
}

/// All channels to which anybody is subscribed, but for those on which sessions are controlled, sorted.
pub async fn stream_channels(redis: &Redis) -> Vec<String> {
    let is_control =
        |channel: &String| channel.contains("timeline:access_token:") || channel.contains("timeline:system:");
    let channels = redis.subscriptions().await;
    channels.into_iter().filter(|channel| !is_control(channel)).collect()
}

/// The channel of a stream; of the two of `user` the notifications.
fn channel_of(viewer: &Person, stream: &str) -> String {
    let (name, parameter) = stream.split_once('&').unwrap_or((stream, ""));
    let value = parameter.split_once('=').map(|(_, value)| value).unwrap_or_default();
    let account = viewer.account_id;
    match name {
        "user" | "user:notification" => format!("timeline:{account}:notifications"),
        "direct" => format!("timeline:direct:{account}"),
        "list" => format!("timeline:list:{value}"),
        "hashtag" => format!("timeline:hashtag:{value}"),
        "hashtag:local" => format!("timeline:hashtag:{value}:local"),
        _ => format!("timeline:{name}"),
    }
}

/// One viewer on both transports.
pub struct Both {
    pub ws: Ws,
    pub sse: Sse,
}

/// An event that came on both transports alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub event: String,
    /// What stood in the WebSocket's `payload`, a string, and in the stream's `data`.
    pub payload: String,
}

impl Heard {
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.payload) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }
}

impl Both {
    /// The next event, which must be the same on both, with a string as payload.
    pub async fn next(&mut self) -> Heard {
        let one = self.ws.next_event().await;
        let other = self.sse.next_event().await;
        let payload = one.payload.as_ref().and_then(Value::as_str);
        let payload = payload.unwrap_or_else(|| panic!("the payload is no string: {one:?}"));
        assert_eq!((&*one.event, payload), (&*other.event, &*other.data()));
        Heard { event: other.event, payload: payload.to_owned() }
    }

    /// That nothing was delivered to either so far: publishes a marker and requires it to be next. Markers that were meant
    /// for other clients on the same channel are passed over.
    pub async fn silent_until(&mut self, redis: &Redis, channel: &str) {
        let marker = Marker::publish(redis, channel).await;
        loop {
            let next = self.next().await;
            assert!(next.event == Marker::EVENT, "nothing but markers was expected, but {next:?} came");
            if next.payload == marker.payload() {
                return;
            }
        }
    }
}

impl Database {
    /// How many statements that contain `part` servers have run.
    pub fn count_statements(&self, part: &str) -> usize {
        self.statements().iter().filter(|statement| statement.text.contains(part)).count()
    }
}
