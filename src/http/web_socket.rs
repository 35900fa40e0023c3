//! A request to become a WebSocket. Any path does; the path subscribes to nothing.

use std::{net::IpAddr, sync::Arc};

use axum::{extract::Request, response::Response};
use hyper::upgrade::{OnUpgrade, Parts as Bare};
use hyper_util::rt::TokioIo;

use super::{
    Parts, answer, connection::ServedSocket, credentials::authenticate, handshake, query::Query,
    route::handshake_request,
};
use crate::{
    domain::{Framing, Viewer},
    session::{Request as SessionRequest, WebSocketSession},
};

/// Who connected, and what for.
struct Client {
    viewer: Viewer,
    address: Option<IpAddr>,
    framing: Framing,
    request: Option<SessionRequest>,
}

/// Answers a handshake. Who is asking comes before what is wrong with the handshake.
pub(super) async fn open(parts: &Arc<Parts>, mut request: Request) -> Response {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let viewer = match authenticate(request.headers(), &query, &parts.store).await {
        Ok(viewer) => viewer,
        Err(refusal) => return answer::handshake_refusal(refusal),
    };
    let (response, framing) = match handshake::accept(&request, parts.compression) {
        Ok(accepted) => accepted,
        Err(defect) => return defect.answer(),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let wanted = handshake_request(&query).map(SessionRequest::Subscribe);
    let address = parts.client_address(request.headers(), request.extensions());
    let (own, client) = (Arc::clone(parts), Client { viewer, address, framing, request: wanted });
    parts.lifecycle.spawn("web socket session", serve(own, upgrade, client));
    response
}

async fn serve(parts: Arc<Parts>, upgrade: OnUpgrade, client: Client) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client left during the handshake"),
    };
    // The bare socket, without what the HTTP server kept around it: idle sessions are small.
    let Ok(Bare { io, read_buf, .. }) = upgraded.downcast::<TokioIo<ServedSocket>>() else {
        return tracing::error!("a connection that became a web socket is none of this listener's");
    };
    let membership = parts.begin_session(client.viewer, client.framing, client.address);
    let (socket, ahead) = io.into_inner().into_parts();
    let read_ahead = if ahead.is_empty() { read_buf } else { [&read_buf[..], &ahead].concat().into() };
    let session = Box::new(WebSocketSession::new(socket, membership, Arc::clone(&parts.store)));
    session.run(client.request, read_ahead).await;
}
