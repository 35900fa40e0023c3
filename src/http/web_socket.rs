//! A request to become a WebSocket. Any path does; the path subscribes to nothing.

use std::{net::IpAddr, sync::Arc};

use axum::{extract::Request, response::Response};
use bytes::Bytes;

use super::{
    Parts, answer,
    connection::{After, Connection},
    credentials::authenticate,
    handshake,
    query::Query,
    route::handshake_request,
};
use crate::{
    domain::{Framing, Viewer},
    hub::Socket,
    session::{Request as SessionRequest, WebSocketSession},
};

/// A session that begins when the answer to its handshake is written.
pub(super) struct Opening {
    parts: Arc<Parts>,
    viewer: Viewer,
    address: Option<IpAddr>,
    framing: Framing,
    request: Option<SessionRequest>,
}

/// Answers a handshake. Who is asking comes before what is wrong with the handshake.
pub(super) async fn open(parts: &Arc<Parts>, request: Request) -> Response {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let viewer = match authenticate(request.headers(), &query, &parts.store).await {
        Ok(viewer) => viewer,
        Err(refusal) => return answer::handshake_refusal(refusal),
    };
    let (response, framing) = match handshake::accept(&request, parts.compression) {
        Ok(accepted) => accepted,
        Err(defect) => return defect.answer(),
    };
    let wanted = handshake_request(&query).map(SessionRequest::Subscribe);
    let address = parts.client_address(request.headers(), request.extensions());
    let opening = Opening { parts: Arc::clone(parts), viewer, address, framing, request: wanted };
    Connection::of(request.extensions()).then(After::WebSocket(Box::new(opening)));
    response
}

impl Opening {
    /// The session, to its end.
    pub(super) fn run(self, socket: Socket, read_ahead: Bytes) -> impl Future<Output = ()> + Send + use<> {
        let membership = self.parts.begin_session(self.viewer, self.framing, self.address);
        let session = Box::new(WebSocketSession::new(socket, membership, Arc::clone(&self.parts.store)));
        session.run(self.request, read_ahead)
    }
}
