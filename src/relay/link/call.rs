//! Links that this node opens to others: it is the edge.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::stream::poll_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::{Message, bytes::Bytes};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{MetadataMap, MetadataValue},
};

use super::{
    super::{
        door::{Door, OpenLink},
        message::{LARGEST_EVENT, Notice, Order},
    },
    asked::Asked,
    credential::{Answerer, CHALLENGE_HEADER, Challenge, Credential, PROOF_HEADER},
    greeting::{self, Introduction, Refusal},
    mistrust::{self, Told},
    neighbours::{Clash, Neighbours, Seat},
    proto::{self, edge_message, holder_message, relay_client::RelayClient},
    tls::Tls,
    transport::{Attentive, Connector, Heard, Requests, Tasks, Wire},
    wire::{self, Malformed},
};
use crate::{
    cluster::{NodeId, PeerAddress},
    telemetry::{Metrics, Reminder, relay::LinkEnd},
};

/// How long it may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long a node that is not believed may take to hear so.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long the other node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Orders that are sent together.
const BATCH: usize = 1_000;

/// Bytes of orders that are sent together, unless one has more.
const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of what a holder says at once, with what stands around an event.
const LARGEST_MESSAGE: usize = LARGEST_EVENT + 1024;

/// What is said of a node with which a secret is not shared.
const OTHER_SECRET: &str = "the secret or the cluster is another one there (CLUSTER_SECRET, CLUSTER_NAME)";

/// What is needed to open links.
pub(super) struct Caller {
    pub neighbours: Arc<Neighbours>,
    pub door: Door,
    pub connector: Connector,
    pub tls: Option<Arc<Tls>>,
    pub credential: Option<Arc<Credential>>,
    pub metrics: Arc<Metrics>,
    pub complaints: Mutex<Reminder>,
    /// Ends all links.
    pub stop: CancellationToken,
}

/// Why there is no link at an address.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answers, or not properly.
    Unreachable(String),
    /// Something there is set up differently.
    Refused(String),
    /// It is this process itself.
    Yourself,
    /// There is a link to this node already.
    Linked(NodeId),
    /// There is a link to an earlier process of this node, which ends now.
    Soon,
}

/// A link that is about to be used.
pub(super) struct Answered {
    seat: Seat,
    pub node: NodeId,
    pub version: String,
    out: mpsc::Sender<proto::EdgeMessage>,
    holder: Streaming<proto::HolderMessage>,
    stop: CancellationToken,
    heard: Heard,
    /// The connection ends with it.
    _tasks: Tasks,
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::Unreachable(format!("what it says makes no sense: {malformed}"))
    }
}

fn late<E>(_: E) -> Failure {
    Failure::Unreachable("it does not answer".to_owned())
}

impl Caller {
    /// Connects to an address, where a node known by this host should be, and greets.
    pub(super) async fn dial(&self, address: SocketAddr, host: Option<&str>) -> Result<Answered, Failure> {
        let (tasks, heard, stop) = (Tasks::new(), Heard::now(), CancellationToken::new());
        let told = Told::default();
        let wire = self.connect(address, host, heard.clone(), told.clone());
        let wire = timeout(CONNECT_WITHIN, wire).await.map_err(late)??;
        let answered = async {
            let (out, mut holder) = timeout(ANSWER_WITHIN, self.call(wire, &tasks)).await.map_err(late)??;
            let introduction = timeout(ANSWER_WITHIN, self.answer(&mut holder)).await.map_err(late)??;
            Ok((out, holder, introduction))
        };
        let (out, holder, mut introduction) = answered.await.map_err(|failure| match told.get() {
            Some(text) => Failure::Refused(format!("TLS: {text}")),
            None => failure,
        })?;
        introduction.sender.address = introduction.sender.address.or_else(|| reachable(address));
        let (node, version) = (introduction.sender.node.clone(), introduction.version.clone());
        let seat = self.neighbours.claim(introduction, heard.clone(), stop.clone()).map_err(|clash| match clash {
            Clash::Linked => Failure::Linked(node.clone()),
            Clash::Soon => Failure::Soon,
            Clash::Refused(refusal) => refused(refusal),
        })?;
        Ok(Answered { seat, node, version, out, holder, stop, heard, _tasks: tasks })
    }

    async fn connect(
        &self,
        address: SocketAddr,
        host: Option<&str>,
        heard: Heard,
        told: Told,
    ) -> Result<Box<dyn Wire>, Failure> {
        let unreachable = |error: io::Error| Failure::Unreachable(error.to_string());
        let wire = Attentive::new(self.connector.connect(address).await.map_err(unreachable)?, heard);
        let Some(tls) = &self.tls else { return Ok(Box::new(wire)) };
        tls.connect(wire, host, told).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData if !is_of_certificates(&error) => Failure::Refused(self.no_node()),
            io::ErrorKind::InvalidData | io::ErrorKind::Other => {
                Failure::Refused(format!("TLS: {}", mistrust::explain(&error)))
            }
            _ => Failure::Unreachable(self.no_node()),
        })
    }

    /// What is said of an address where a connection can be made that is of no use, whatever the reason in detail.
    fn no_node(&self) -> String {
        let with = if self.tls.is_some() { "without" } else { "with" };
        format!("something answers there that is no node of a cluster, or one {with} CLUSTER_TLS_CERT")
    }

    /// Why a call did not become a link.
    fn failure(&self, status: &Status) -> Failure {
        let problem = describe(status);
        match status.code() {
            Code::Unauthenticated => Failure::Refused(OTHER_SECRET.to_owned()),
            Code::Unimplemented => Failure::Refused(self.no_node()),
            // What a node says itself.
            Code::InvalidArgument | Code::Aborted | Code::ResourceExhausted => Failure::Unreachable(problem),
            _ => {
                tracing::debug!(problem, "what answers is no node");
                Failure::Unreachable(self.no_node())
            }
        }
    }

    async fn call(
        &self,
        wire: Box<dyn Wire>,
        tasks: &Tasks,
    ) -> Result<(mpsc::Sender<proto::EdgeMessage>, Streaming<proto::HolderMessage>), Failure> {
        let (requests, connection) =
            tasks.client().handshake(TokioIo::new(wire)).await.map_err(|_| Failure::Unreachable(self.no_node()))?;
        tasks.spawn(async move {
            // Why it ended is found out by who uses the call.
            let _ = connection.await;
        });
        let (out, mut messages) = mpsc::channel(4);
        let mut request = Request::new(poll_fn(move |cx| messages.poll_recv(cx)));
        let challenge = self.credential.as_ref().map(|credential| credential.challenge());
        if let Some(challenge) = challenge {
            request.metadata_mut().insert_bin(CHALLENGE_HEADER, MetadataValue::from_bytes(&challenge));
        }
        let origin = hyper::Uri::from_static("http://node");
        let mut client =
            RelayClient::with_origin(Requests(requests), origin).max_decoding_message_size(LARGEST_MESSAGE);
        let response = client.link(request).await.map_err(|status| self.failure(&status))?;
        let proven = self.proof(challenge, response.metadata());
        let mut holder = response.into_inner();
        match proven {
            Ok(proof) => {
                let greeting = edge_message::Kind::Greeting(self.neighbours.greeting(proof));
                let _ = out.send(proto::EdgeMessage { kind: Some(greeting) }).await;
                Ok((out, holder))
            }
            Err(failure) => {
                // Its operator is to be told too, if it is a node.
                drop(out);
                let _ = timeout(LAST_WORDS, holder.message()).await;
                Err(failure)
            }
        }
    }

    /// What the holder is to be shown, if it has shown that it knows the secret.
    fn proof(&self, challenge: Option<Challenge>, said: &MetadataMap) -> Result<Bytes, Failure> {
        let (Some(credential), Some(challenge)) = (&self.credential, challenge) else { return Ok(Bytes::new()) };
        let said = |header| said.get_bin(header).and_then(|value| value.to_bytes().ok()).unwrap_or_default();
        match credential.judge(challenge, &said(CHALLENGE_HEADER), &said(PROOF_HEADER)) {
            Some((Answerer::Another, proof)) => Ok(Bytes::copy_from_slice(proof.as_ref())),
            Some((Answerer::Itself, _)) => Err(Failure::Yourself),
            None => Err(Failure::Refused(OTHER_SECRET.to_owned())),
        }
    }

    /// The holder's first message.
    async fn answer(&self, holder: &mut Streaming<proto::HolderMessage>) -> Result<Introduction, Failure> {
        loop {
            let message = holder.message().await.map_err(|status| self.failure(&status))?;
            let Some(message) = message else { return Err(Failure::Unreachable("it has closed the link".to_owned())) };
            match message.kind {
                Some(holder_message::Kind::Welcome(welcome)) => return Ok(greeting::read_welcome(welcome)?),
                Some(holder_message::Kind::Refusal(refusal)) => return Err(refused(greeting::read_refusal(refusal))),
                Some(holder_message::Kind::Notices(_)) => {
                    return Err(Malformed::new("notices", "before the welcome").into());
                }
                Some(holder_message::Kind::Members(_)) => {
                    return Err(Malformed::new("members", "before the welcome").into());
                }
                None => {}
            }
        }
    }

    /// Lets the edge of this node use a link, until it ends: with the reason.
    pub(super) async fn link(&self, answered: Answered) -> (LinkEnd, String) {
        let Answered { seat, node, out, mut holder, stop, heard, .. } = answered;
        let is_leaving = AtomicBool::new(false);
        let Ok(open) = self.door.open(node).await else { return stopping() };
        let end = tokio::select! {
            end = hear(&open, &mut holder, (&seat, &is_leaving)) => end,
            end = self.order(&open, &out) => end,
            () = stop.cancelled() => (LinkEnd::Lost, "another process has taken its place".to_owned()),
            () = self.stop.cancelled() => stopping(),
        };
        let end = match (end, heard.silence()) {
            // It had said so.
            ((LinkEnd::Lost, problem), _) if is_leaving.into_inner() => (LinkEnd::Stopping, problem),
            ((LinkEnd::Lost, _), Some(silence)) => (LinkEnd::Lost, format!("silent for {} s", silence.as_secs())),
            (end, _) => end,
        };
        open.close().await;
        drop(seat);
        self.metrics.relay.link_closed(end.0);
        end
    }

    /// Sends what the edge wants.
    async fn order(&self, open: &OpenLink, out: &mpsc::Sender<proto::EdgeMessage>) -> (LinkEnd, String) {
        let mut asked = Asked::default();
        loop {
            let mut orders = self.sendable(open.orders.take(BATCH).await, &mut asked).peekable();
            while orders.peek().is_some() {
                let (mut batch, mut bytes) = (Vec::new(), 0);
                while let Some(order) = orders.next_if(|next| bytes == 0 || bytes + next.encoded_len() <= BATCH_BYTES) {
                    bytes += order.encoded_len();
                    batch.push(order);
                }
                let kind = edge_message::Kind::Orders(proto::Orders { orders: batch });
                if out.send(proto::EdgeMessage { kind: Some(kind) }).await.is_err() {
                    // Who hears knows why.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Those that the other node would take.
    fn sendable(&self, orders: Vec<(u64, Order)>, asked: &mut Asked) -> impl Iterator<Item = proto::Order> {
        orders.into_iter().filter_map(|(ask, order)| {
            let checked = match &order {
                Order::Hold(channel) | Order::Take(channel, _) => wire::check_channel(channel.as_str(), "channel"),
                Order::Release => Ok(()),
            };
            if let Err(problem) = checked.and_then(|()| asked.note(ask, &order)) {
                if self.complaints.lock().is_due("channel") {
                    tracing::warn!(%problem, "a channel cannot be asked for at other nodes; nothing comes from it");
                }
                return None;
            }
            Some(wire::order(ask, order))
        })
    }
}

fn stopping() -> (LinkEnd, String) {
    (LinkEnd::Stopping, "this node stops".to_owned())
}

/// The address for others, who can get there too, most likely: unless it depends on an interface of this machine.
fn reachable(address: SocketAddr) -> Option<PeerAddress> {
    let is_everywhere = !matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
    is_everywhere.then(|| address.into())
}

/// Passes on what the holder says.
async fn hear(
    open: &OpenLink,
    holder: &mut Streaming<proto::HolderMessage>,
    (seat, is_leaving): (&Seat, &AtomicBool),
) -> (LinkEnd, String) {
    let nonsense = |malformed: Malformed| (LinkEnd::Protocol, malformed.to_string());
    loop {
        let message = match holder.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return (LinkEnd::Lost, "the other node has closed it".to_owned()),
            Err(status) => return end(&status),
        };
        match message.kind {
            Some(holder_message::Kind::Notices(notices)) => match wire::read_notices(notices) {
                Ok(notices) if notices.is_empty() => {}
                Ok(notices) => {
                    if notices.iter().any(|notice| matches!(notice, Notice::Leaving)) {
                        is_leaving.store(true, Ordering::Relaxed);
                    }
                    if open.hear(notices).await.is_err() {
                        return stopping();
                    }
                }
                Err(malformed) => return nonsense(malformed),
            },
            Some(holder_message::Kind::Members(members)) => match greeting::read_members(&members) {
                Ok(members) => seat.told(members),
                Err(malformed) => return nonsense(malformed),
            },
            Some(holder_message::Kind::Welcome(_)) => return nonsense(Malformed::new("welcome", "said twice")),
            Some(holder_message::Kind::Refusal(_)) => return nonsense(Malformed::new("refusal", "after the welcome")),
            None => {}
        }
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal.reason {
        proto::refusal::Reason::Yourself => Failure::Yourself,
        proto::refusal::Reason::Stopping => Failure::Unreachable("it is about to stop".to_owned()),
        _ => Failure::Refused(refusal.text),
    }
}

/// Whether TLS is spoken there, and it is certificates that are not as they should be.
fn is_of_certificates(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    !matches!(cause, Some(rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. }))
}

/// Why a link ended.
fn end(status: &Status) -> (LinkEnd, String) {
    let end = match status.code() {
        Code::InvalidArgument | Code::Internal | Code::OutOfRange => LinkEnd::Protocol,
        Code::ResourceExhausted => LinkEnd::TooSlow,
        Code::Aborted => return (LinkEnd::Stopping, "the other node stops".to_owned()),
        _ => LinkEnd::Lost,
    };
    (end, describe(status))
}

/// The innermost reason says most.
fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_on_one_interface_is_nothing_to_tell_others() {
        assert_eq!(reachable("[fe80::1%3]:4500".parse().unwrap()), None);
        for text in ["192.0.2.1:4500", "[2001:db8::1]:4500"] {
            assert_eq!(reachable(text.parse().unwrap()), text.parse().ok());
        }
    }
}
