//! Where the calls of one connection come in, and what is shown to who makes them.

use std::sync::Arc;

use futures_util::{Stream, stream::poll_fn};
use ring::hmac::Tag;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use super::{
    credential::{CHALLENGE_HEADER, Challenges, Credential, PROOF_HEADER},
    proto::{self, relay_server},
};

pub(super) type Said = Result<proto::HolderMessage, Status>;

/// One call as it came in.
pub(super) struct Call {
    pub edge: Streaming<proto::EdgeMessage>,
    pub out: mpsc::Sender<Said>,
    /// To be answered by the greeting.
    pub challenges: Option<Challenges>,
}

/// Where calls of one connection come in.
pub(super) struct Gate {
    pub credential: Option<Arc<Credential>>,
    pub calls: mpsc::Sender<Call>,
    /// Told when somebody has no valid credential.
    pub refused: mpsc::Sender<()>,
}

impl Gate {
    /// The answer to the challenge of an edge, if there is a secret; an error if there is no challenge then.
    fn answer(&self, request: &Request<Streaming<proto::EdgeMessage>>) -> Result<Option<(Challenges, Tag)>, Status> {
        let Some(credential) = &self.credential else { return Ok(None) };
        let challenge = request.metadata().get_bin(CHALLENGE_HEADER).and_then(|value| value.to_bytes().ok());
        challenge.and_then(|challenge| credential.answer(&challenge)).map(Some).ok_or_else(strange)
    }
}

#[tonic::async_trait]
impl relay_server::Relay for Gate {
    type LinkStream = std::pin::Pin<Box<dyn Stream<Item = Said> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<proto::EdgeMessage>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let answer = self.answer(&request).inspect_err(|_| {
            let _ = self.refused.try_send(());
        })?;
        let (out, mut messages) = mpsc::channel(1);
        let challenges = answer.as_ref().map(|(challenges, _)| *challenges);
        let call = Call { edge: request.into_inner(), out, challenges };
        self.calls.try_send(call).map_err(|_| Status::resource_exhausted("one call for each connection"))?;
        let said: Self::LinkStream = Box::pin(poll_fn(move |cx| messages.poll_recv(cx)));
        let mut response = Response::new(said);
        if let Some((challenges, proof)) = answer {
            let headers = response.metadata_mut();
            headers.insert_bin(CHALLENGE_HEADER, MetadataValue::from_bytes(challenges.of_holder()));
            headers.insert_bin(PROOF_HEADER, MetadataValue::from_bytes(proof.as_ref()));
        }
        Ok(response)
    }
}

/// What who does not know the secret is told: the same, whatever it said.
pub(super) fn strange() -> Status {
    Status::unauthenticated("no valid credential")
}
