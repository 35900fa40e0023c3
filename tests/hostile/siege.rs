//! A server under attack, and those whom the attack must not disturb.

use serde_json::{Value, json};

use super::support::*;

/// Alice watches on both transports, and Mallory attacks.
pub struct Siege {
    pub scene: Scene,
    pub mallory: Person,
    ws: Ws,
    sse: Sse,
    home: String,
    marks: u32,
}

impl Siege {
    pub async fn start() -> Self {
        let scene = Scene::start().await;
        let mallory = scene.db.person("mallory").await;
        let ws = scene.ws("/?stream=user").await;
        let sse = scene.sse("/api/v1/streaming/public").await;
        let home = format!("timeline:{}", scene.alice.account_id);
        scene.redis.wait_for_subscribers(&home, 1).await;
        scene.redis.wait_for_subscribers("timeline:public", 1).await;
        Self { scene, mallory, ws, sse, home, marks: 0 }
    }

    /// Mallory's WebSocket.
    pub async fn attacker(&self, target: &str) -> Ws {
        Ws::open(&self.scene.server, target, &self.mallory.token).await
    }

    /// Mallory's WebSocket on her own home feed.
    pub async fn attacker_at_home(&self) -> Ws {
        let ws = self.attacker("/?stream=user").await;
        self.scene.redis.wait_for_subscribers(&self.mallorys_home(), 1).await;
        ws
    }

    pub fn mallorys_home(&self) -> String {
        format!("timeline:{}", self.mallory.account_id)
    }

    /// That the server is up and Alice gets what is hers, and nothing else.
    pub async fn unharmed(&mut self) {
        assert!(self.scene.server.is_running());
        self.marks += 1;
        let mark = format!("private {}", self.marks);
        self.scene.redis.publish(&self.home, event("update", json!({"id": mark}))).await;
        let event = self.ws.next_event().await;
        assert_eq!((event.event.as_str(), event.json()), ("update", json!({"id": mark})));
        self.sse.silent_until(&self.scene.redis, "timeline:public").await;
        for line in self.scene.server.logs() {
            let is_alarm = line.level() == "ERROR" || line.is_error_output || line.text.contains("panic");
            assert!(!is_alarm, "{}", line.text);
        }
    }

    /// The same, and that an attacker's connection, which is on her home feed, is alive and got nothing of Alice's.
    pub async fn unharmed_by(&mut self, attacker: &mut Ws) {
        self.unharmed().await;
        let home = self.mallorys_home();
        attacker.silent_until(&self.scene.redis, &home).await;
    }

    /// The same for an attacker that watches the public feed, as Alice does.
    pub async fn unharmed_with_public_marker(&mut self, attacker: &mut Ws) {
        self.unharmed().await;
        // The marker that Alice's stream got.
        assert_eq!(attacker.next_event().await.event, "marker");
        attacker.silent_until(&self.scene.redis, "timeline:public").await;
        self.discard_public_event().await;
    }

    /// Takes the next event off Alice's public feed, and returns it if it is JSON.
    pub async fn discard_public_event(&mut self) -> Value {
        serde_json::from_str(&self.sse.next_event().await.data()).unwrap_or_default()
    }

    /// Waits for the line with this message that satisfies a condition, and requires it to be the only one.
    pub async fn told_once(&self, message: &str, condition: impl Fn(&LogLine) -> bool + Send + Sync) {
        let fits = |line: &LogLine| line.message().contains(message) && condition(line);
        self.scene.server.wait_for_log(fits).await;
        let lines: Vec<String> = self.scene.server.logs().into_iter().filter(fits).map(|line| line.text).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }

    /// The value of a counter.
    pub async fn dropped(&self, cause: &str) -> f64 {
        self.scene.server.metric("flodgatt_events_dropped_total", &[("cause", cause)]).await
    }

    /// Waits until a counter has a value.
    pub async fn wait_for_dropped(&self, cause: &str, events: f64) {
        self.scene.server.wait_for_metric("flodgatt_events_dropped_total", &[("cause", cause)], events).await;
    }
}

/// Whether a line says that this account's session was closed for this reason.
pub fn closed_for(account: i64, reason: &str) -> impl Fn(&LogLine) -> bool + Send + Sync {
    move |line| *line.field("account") == account && *line.field("reason") == reason
}
