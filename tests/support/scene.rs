//! What most tests begin with: a server on a Redis and a database of its own, and somebody with a token.

use std::ops::Deref;

use super::people::Person;
use super::server_options::ServerOptions;
use super::sse::Sse;
use super::stage::Stage;
use super::websocket::Ws;

/// A stage, with Alice on it. Everything ends with this value.
pub struct Scene {
    stage: Stage,
    /// Her token has the scope `read`.
    pub alice: Person,
}

impl Deref for Scene {
    type Target = Stage;
    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Scene {
    pub async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    /// With a server that is started in another way.
    pub async fn start_with(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let stage = Stage::start_with(change).await;
        let alice = stage.db.person("alice").await;
        Self { stage, alice }
    }

    /// Alice's WebSocket, which may not be subscribed yet.
    pub async fn ws(&self, target: &str) -> Ws {
        Ws::open(&self.server, target, &self.alice.token).await
    }

    /// Alice's event stream, which may not be subscribed yet.
    pub async fn sse(&self, target: &str) -> Sse {
        Sse::open(&self.server, target, &self.alice.token).await
    }
}
