//! Links that other nodes open to this one: it is the holder.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    super::{
        holder::AskedTwice,
        holding::{Holding, Lane},
        message::Notice,
    },
    asked::{AllAsked, Asked},
    credential::Credential,
    gate::{Call, Gate, Said, strange},
    greeting::{self, Introduction, Refusal},
    mistrust,
    neighbours::{Neighbours, Seat},
    newcomers::{Complaints, Newcomers},
    proto::{self, edge_message, holder_message, refusal::Reason, relay_server},
    tls::Tls,
    transport::{Allowance, Attentive, Heard, Listener, Tasks, Wire},
    wire::{self, Malformed},
};
use crate::{
    lifecycle::Lifecycle,
    telemetry::{Metrics, Reminder, relay::LinkEnd},
};

/// How long a node that connects may take until it has greeted.
const GREETING_WITHIN: Duration = Duration::from_secs(5);

/// Bytes that are read until then: of TLS, HTTP/2 and the greeting.
const BEFORE_GREETING: usize = 256 * 1024;

/// How long the last words may take to get through.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bytes of what an edge says at once.
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// Bytes of notices that go into one message, unless there is one that is larger.
const BATCH: usize = 64 * 1024;

/// What is said of who does not know the secret.
const STRANGER: &str = "it does not know the secret, or is of another cluster (CLUSTER_SECRET, CLUSTER_NAME)";

/// What is needed to serve links.
pub(super) struct Host {
    pub neighbours: Arc<Neighbours>,
    pub holding: Arc<Holding>,
    pub tls: Option<Arc<Tls>>,
    pub credential: Option<Arc<Credential>>,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
    pub complaints: Complaints,
    pub newcomers: Newcomers,
    /// What the edges of all other nodes ask for.
    pub asked: Arc<AllAsked>,
}

/// Why a link is not to go on.
struct End(LinkEnd, String);

/// Why there is to be no link.
enum Unwelcome {
    /// It did not greet as a node of this cluster does.
    Stranger(End),
    /// It did, and cannot be linked.
    Refused(Refusal),
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self(LinkEnd::Protocol, malformed.to_string())
    }
}

impl Host {
    /// Serves links until the server stops.
    pub(super) async fn serve(self: Arc<Self>, listener: Listener) {
        let mut reminder = Reminder::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.lifecycle.stopping() => return,
            };
            match accepted {
                Ok((wire, peer)) => {
                    let host = Arc::clone(&self);
                    self.lifecycle.spawn("link from a node", async move { host.connection(wire, peer).await });
                }
                Err(error) => {
                    // Out of file descriptors, most likely.
                    if reminder.is_due(&error.kind().to_string()) {
                        tracing::error!(%error, "cannot accept connections of other nodes; trying again");
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn connection(&self, wire: Box<dyn Wire>, peer: IpAddr) {
        let newcomer = self.newcomers.enter(peer);
        let (tasks, heard, stop) = (Tasks::new(), Heard::now(), CancellationToken::new());
        let allowance = Allowance::new(BEFORE_GREETING);
        let (over, ended) = oneshot::channel();
        let greeted = async {
            let mut call =
                self.call(Attentive::new(wire, heard.clone()).within(&allowance), peer, &tasks, over).await?;
            let introduction = self.greeting(&mut call, peer).await;
            Some((call, introduction))
        };
        let greeted = tokio::select! {
            greeted = timeout(GREETING_WITHIN, greeted) => greeted,
            () = newcomer.lost() => {
                return self.complain(peer, "too many connections that have not yet greeted, most of them from there");
            }
            () = self.lifecycle.stopping() => return,
        };
        let (call, introduction) = match greeted {
            Ok(Some(greeted)) => greeted,
            Ok(None) => return,
            Err(_) => return self.complain(peer, "no greeting within 5 seconds"),
        };
        let seated = introduction.map_err(Unwelcome::Stranger);
        let seated = seated.and_then(|introduction| self.seat(introduction, heard, stop.clone()));
        let (seat, introduction) = match seated {
            Ok(seated) => seated,
            // It is a newcomer until it has gone.
            Err(unwelcome) => {
                return tokio::select! {
                    () = self.turn_away(call, unwelcome, peer, ended) => {}
                    () = newcomer.lost() => {}
                    () = self.lifecycle.stopping() => {}
                };
            }
        };
        drop(newcomer);
        allowance.lift();
        if let Some(call) = self.link(seat, call, introduction, stop).await {
            last_words(call, ended).await;
        }
    }

    async fn turn_away(&self, call: Call, unwelcome: Unwelcome, peer: IpAddr, ended: oneshot::Receiver<()>) {
        let said = match unwelcome {
            Unwelcome::Stranger(End(end, problem)) => {
                let status = match end {
                    LinkEnd::Refused => strange(),
                    LinkEnd::Protocol => Status::invalid_argument(&*problem),
                    _ => return,
                };
                self.complain(peer, &problem);
                Err(status)
            }
            Unwelcome::Refused(refusal) => {
                if refusal.reason != Reason::Yourself {
                    self.metrics.relay.link_closed(LinkEnd::Refused);
                    self.complain(peer, &refusal.text);
                }
                let refusal = holder_message::Kind::Refusal(greeting::refusal(&refusal));
                Ok(proto::HolderMessage { kind: Some(refusal) })
            }
        };
        let _ = call.out.send(said).await;
        last_words(call, ended).await;
    }

    /// Reads the first message. Nothing in it counts without the proof.
    async fn greeting(&self, call: &mut Call, peer: IpAddr) -> Result<Introduction, End> {
        loop {
            let message = call.edge.message().await;
            let is_another = call.challenges.is_some_and(|challenges| !challenges.are_of_one_process());
            if matches!(message, Ok(None)) && is_another {
                // An edge that does not believe this node says so by saying nothing.
                return Err(End(LinkEnd::Refused, STRANGER.to_owned()));
            }
            match read(message)? {
                Some(edge_message::Kind::Greeting(greeting)) => {
                    if !self.is_proven(call, &greeting.proof) {
                        return Err(End(LinkEnd::Refused, STRANGER.to_owned()));
                    }
                    return Ok(greeting::read_greeting(greeting, peer)?);
                }
                Some(edge_message::Kind::Orders(_)) => {
                    return Err(Malformed::new("orders", "before the greeting").into());
                }
                None => {}
            }
        }
    }

    fn is_proven(&self, call: &Call, proof: &[u8]) -> bool {
        match (&self.credential, &call.challenges) {
            (Some(credential), Some(challenges)) => credential.is_proven(challenges, proof),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn seat(
        &self,
        introduction: Introduction,
        heard: Heard,
        stop: CancellationToken,
    ) -> Result<(Seat, Introduction), Unwelcome> {
        if self.lifecycle.is_stopping() {
            return Err(Unwelcome::Refused(Refusal::new(Reason::Stopping, "this node stops")));
        }
        let seat = self.neighbours.admit(&introduction, heard, stop).map_err(Unwelcome::Refused)?;
        Ok((seat, introduction))
    }

    fn complain(&self, peer: IpAddr, problem: &str) {
        if self.complaints.is_due(peer, problem) {
            tracing::warn!(%peer, problem, "a connection to CLUSTER_BIND is of no use; not said again for a minute");
        }
    }

    /// The call for which the connection was made. The tasks end with the connection.
    async fn call(&self, wire: Attentive, peer: IpAddr, tasks: &Tasks, over: oneshot::Sender<()>) -> Option<Call> {
        let wire: Box<dyn Wire> = match &self.tls {
            None => Box::new(wire),
            Some(tls) => match tls.accept(wire).await {
                Ok(wire) => wire,
                Err(error) => {
                    self.complain(peer, &format!("TLS: {}", mistrust::explain(&error)));
                    return None;
                }
            },
        };
        let (calls, mut called) = mpsc::channel(1);
        let (refused, mut refusals) = mpsc::channel(1);
        let gate = Gate { credential: self.credential.clone(), calls, refused };
        let service = relay_server::RelayServer::new(gate).max_decoding_message_size(LARGEST_MESSAGE);
        let connection = tasks.server().serve_connection(TokioIo::new(wire), TowerToHyperService::new(service));
        tasks.spawn(async move {
            // Why it ended is found out by who uses the call.
            let _ = connection.await;
            drop(over);
        });
        tokio::select! {
            // It ends without a call when the connection does.
            call = called.recv() => call,
            Some(()) = refusals.recv() => {
                self.complain(peer, STRANGER);
                let _ = timeout(LAST_WORDS, called.recv()).await;
                None
            }
        }
    }

    /// Relays to the edge until one of both has enough. Returns the call if its last words are under way.
    async fn link(&self, seat: Seat, mut call: Call, edge: Introduction, stop: CancellationToken) -> Option<Call> {
        let node = &edge.sender.node;
        tracing::debug!(%node, version = %edge.version.escape_debug(), "a node has opened its link to this one");
        let welcome = holder_message::Kind::Welcome(self.neighbours.welcome());
        let end = if call.out.send(Ok(proto::HolderMessage { kind: Some(welcome) })).await.is_err() {
            End(LinkEnd::Lost, "the connection was lost".to_owned())
        } else {
            let lane = self.holding.greeted(false);
            tokio::select! {
                end = self.notices(&lane, &call.out) => end,
                end = orders(&lane, &mut call.edge, Asked::of_many(&self.asked)) => end,
                () = stop.cancelled() => End(LinkEnd::Lost, "another process has taken its place".to_owned()),
                () = self.lifecycle.stopping() => End(LinkEnd::Stopping, "this node stops".to_owned()),
            }
        };
        drop(seat);
        let End(reason, problem) = end;
        self.metrics.relay.link_closed(reason);
        match reason {
            LinkEnd::Protocol | LinkEnd::TooSlow | LinkEnd::Refused => {
                tracing::warn!(%node, problem, "closed the link of a node");
            }
            LinkEnd::Lost | LinkEnd::Stopping => tracing::debug!(%node, problem, "the link of a node has ended"),
        }
        let status = match reason {
            LinkEnd::Protocol => Status::invalid_argument(problem),
            // It waits behind what is not yet read, and is heard if that is in time.
            LinkEnd::TooSlow => Status::resource_exhausted(problem),
            LinkEnd::Lost | LinkEnd::Refused => return None,
            LinkEnd::Stopping => Status::aborted(problem),
        };
        let _ = timeout(LAST_WORDS, call.out.send(Err(status))).await;
        Some(call)
    }

    /// Sends what the holder has for the edge, and whom this node knows.
    async fn notices(&self, lane: &Lane, out: &mpsc::Sender<Said>) -> End {
        let mut changes = self.neighbours.changes();
        let mut told = self.neighbours.members();
        loop {
            let kind = tokio::select! {
                notices = lane.notices(BATCH) => {
                    let Ok(notices) = notices else { return too_slow() };
                    self.metrics.relay.relayed(events(&notices));
                    let notices = notices.into_iter().map(wire::notice).collect();
                    holder_message::Kind::Notices(proto::Notices { notices })
                }
                Ok(()) = changes.changed() => {
                    let members = self.neighbours.members();
                    if members == told {
                        continue;
                    }
                    told = members;
                    holder_message::Kind::Members(greeting::members(&told))
                }
            };
            tokio::select! {
                sent = out.send(Ok(proto::HolderMessage { kind: Some(kind) })) => {
                    if sent.is_err() {
                        return End(LinkEnd::Lost, "the connection was lost".to_owned());
                    }
                }
                () = lane.overflowed() => return too_slow(),
            }
        }
    }
}

fn too_slow() -> End {
    End(LinkEnd::TooSlow, "it does not take events as fast as they come".to_owned())
}

fn events(notices: &[Notice]) -> u64 {
    notices.iter().filter(|notice| matches!(notice, Notice::Event { .. } | Notice::Replay { .. })).count() as u64
}

/// Passes on what the edge wants.
async fn orders(lane: &Lane, edge: &mut Streaming<proto::EdgeMessage>, mut asked: Asked) -> End {
    let took = async {
        loop {
            match read(edge.message().await)? {
                Some(edge_message::Kind::Orders(orders)) => {
                    let orders = wire::read_orders(orders)?;
                    orders.iter().try_for_each(|(ask, order)| asked.note(*ask, order))?;
                    lane.order(orders)
                        .map_err(|AskedTwice| Malformed::new("order.channel", "has another ask already"))?;
                }
                Some(edge_message::Kind::Greeting(_)) => return Err(Malformed::new("greeting", "said twice").into()),
                None => {}
            }
            // However fast they come, others have their turn.
            tokio::task::yield_now().await;
        }
    };
    let took: Result<std::convert::Infallible, End> = took.await;
    match took {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// What is in a message; `None` if it is of a kind that is not known.
fn read(message: Result<Option<proto::EdgeMessage>, Status>) -> Result<Option<edge_message::Kind>, End> {
    match message {
        Ok(Some(message)) => Ok(message.kind),
        Ok(None) => Err(End(LinkEnd::Lost, "the other node has closed it".to_owned())),
        // What was read makes no sense, or is too large.
        Err(status) if matches!(status.code(), Code::Internal | Code::OutOfRange | Code::Unimplemented) => {
            Err(End(LinkEnd::Protocol, status.message().to_owned()))
        }
        Err(status) => Err(End(LinkEnd::Lost, status.message().to_owned())),
    }
}

/// Waits until what was said last has got through and the edge has closed the connection, or it is too late for that.
async fn last_words(call: Call, ended: oneshot::Receiver<()>) {
    let Call { edge, out, .. } = call;
    drop(out);
    let _ = timeout(LAST_WORDS, ended).await;
    // A stream that is dropped before would be reset.
    drop(edge);
}
