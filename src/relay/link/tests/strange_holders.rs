//! Holders that do not keep to the rules, or know no secret.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::stream::poll_fn;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use super::{
    super::{
        credential::{CHALLENGE_HEADER, PROOF_HEADER},
        proto::{
            self, EdgeMessage, HolderMessage, holder_message, notice,
            relay_server::{Relay, RelayServer},
        },
        transport::Tasks,
    },
    support::{Log, Net, Node, plan, until},
};

/// A holder that says what a test wants, to everybody.
#[derive(Clone)]
struct Holder {
    says: Vec<HolderMessage>,
    /// In the headers of its answer.
    proof: Option<[Vec<u8>; 2]>,
    waits: bool,
}

#[tonic::async_trait]
impl Relay for Holder {
    type LinkStream = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<HolderMessage, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<EdgeMessage>>) -> Result<Response<Self::LinkStream>, Status> {
        let (mut said, mut edge) = (self.says.clone().into_iter(), request.into_inner());
        let mut has_greeted = !self.waits;
        let said: Self::LinkStream = Box::pin(poll_fn(move |cx| {
            if !has_greeted {
                has_greeted =
                    std::task::ready!(futures_util::Stream::poll_next(std::pin::Pin::new(&mut edge), cx)).is_some();
            }
            said.next().map_or(std::task::Poll::Pending, |message| std::task::Poll::Ready(Some(Ok(message))))
        }));
        let mut response = Response::new(said);
        for (name, value) in [CHALLENGE_HEADER, PROOF_HEADER].into_iter().zip(self.proof.iter().flatten()) {
            response.metadata_mut().insert_bin(name, MetadataValue::from_bytes(value));
        }
        Ok(response)
    }
}

async fn holder_that_says(kinds: Vec<holder_message::Kind>) -> SocketAddr {
    let says = kinds.into_iter().map(|kind| HolderMessage { kind: Some(kind) }).collect();
    serve(Holder { says, proof: None, waits: true }).await.0
}

/// A holder that welcomes whoever calls, with this in the headers of its answer; and all that it receives.
pub(super) async fn holder_that_proves(proof: [Vec<u8>; 2]) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    serve(Holder { says: vec![HolderMessage { kind: Some(welcome()) }], proof: Some(proof), waits: false }).await
}

async fn serve(holder: Holder) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
    let record = Arc::clone(&received);
    tokio::spawn(async move {
        let tasks = Arc::new(Tasks::new());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (record, recorded) = (Arc::clone(&record), tokio::io::duplex(64 * 1024));
            let (near, mut far) = recorded;
            tasks.spawn(async move {
                let (mut from, mut to) = stream.into_split();
                let (mut answers, mut onwards) = tokio::io::split(&mut far);
                let recording = async {
                    let mut bytes = vec![0; 64 * 1024];
                    while let Ok(read @ 1..) = from.read(&mut bytes).await {
                        record.lock().extend_from_slice(&bytes[..read]);
                        if onwards.write_all(&bytes[..read]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = recording => {}
                    _ = tokio::io::copy(&mut answers, &mut to) => {}
                }
            });
            let service = TowerToHyperService::new(RelayServer::new(holder.clone()));
            let connection = tasks.server().serve_connection(TokioIo::new(near), service);
            tasks.spawn(async move { drop(connection.await) });
        }
    });
    (address, received)
}

fn welcome() -> holder_message::Kind {
    let sender = proto::Member { node: "holder".to_owned(), incarnation: 1, address: String::new() };
    let (cluster, version) = ("test".to_owned(), "9\nforged line".to_owned());
    holder_message::Kind::Welcome(proto::Welcome { sender: Some(sender), cluster, version, members: None })
}

fn notices(kind: notice::Kind) -> holder_message::Kind {
    holder_message::Kind::Notices(proto::Notices { notices: vec![proto::Notice { kind: Some(kind) }] })
}

#[tokio::test]
async fn notices_that_make_no_sense_close_the_link_and_are_logged_once() {
    let event = proto::Event { ask: 1, age: 0, message: vec![0xff].into() };
    for (said, reason) in [
        (notices(notice::Kind::Event(event)), "notice.event.message"),
        (notices(notice::Kind::Held(proto::Held { ask: 1, since: None })), "notice.held.since"),
        (notices(notice::Kind::Replay(proto::Replay::default())), "notice.replay.tick"),
        (welcome(), "welcome: said twice"),
        (holder_message::Kind::Refusal(proto::Refusal::default()), "refusal: after the welcome"),
    ] {
        let (log, _logging) = Log::start();
        let mut edge = Node::start(plan("edge")).await;
        edge.finds(&[holder_that_says(vec![welcome(), said]).await]);
        edge.link().await;
        edge.closed().await;
        // It is tried again.
        edge.link().await;
        edge.closed().await;
        log.says(&["WARN", "link to a node lost", reason]).await;
        assert_eq!(log.count(&["WARN", reason]), 1);
        assert_eq!(log.count(&["forged line"]), log.count(&["linked to a node"]), "lines are made up");
    }
}

#[tokio::test]
async fn a_large_message_of_many_ticks_closes_the_link() {
    let tick = proto::Notice { kind: Some(notice::Kind::Tick(proto::Tick::default())) };
    let many = holder_message::Kind::Notices(proto::Notices { notices: vec![tick; 256 * 1024] });
    let mut edge = Node::start(plan("edge")).await;
    edge.finds(&[holder_that_says(vec![welcome(), many]).await]);
    edge.link().await;
    edge.closed().await;
    edge.has_closed("protocol", 1).await;
}

#[tokio::test]
async fn a_member_of_no_incarnation_closes_the_link() {
    let member = proto::Member { node: "other".to_owned(), incarnation: 0, address: "127.0.0.1:1".to_owned() };
    let members = holder_message::Kind::Members(proto::Members { members: vec![member] });
    let mut edge = Node::start(plan("edge")).await;
    edge.finds(&[holder_that_says(vec![welcome(), members]).await]);
    edge.link().await;
    edge.closed().await;
    edge.has_closed("protocol", 1).await;
}

/// What one tells of a hundred does not silence another, nor keep those of whom that tells from being called.
#[tokio::test]
async fn one_that_tells_of_very_many_addresses_displaces_nobody_else() {
    let (log, _logging) = Log::start();
    let told = |node: String, address: String| proto::Member { node, incarnation: 1, address };
    let teller = |name: &str, members| {
        let sender = proto::Member { node: name.to_owned(), incarnation: 1, address: String::new() };
        let (cluster, version, members) = ("test".to_owned(), "1".to_owned(), Some(proto::Members { members }));
        holder_message::Kind::Welcome(proto::Welcome { sender: Some(sender), cluster, version, members })
    };
    // Port 1 of all loopback addresses refuses.
    let many =
        (0..1_023).map(|number| told(format!("n{number}"), format!("127.1.{}.{}:1", number / 256, number % 256)));
    let own = told("edge".to_owned(), "127.8.8.8:1".to_owned());
    let one = told("z".to_owned(), "127.9.9.9:1".to_owned());
    let (loud, quiet) = (
        holder_that_says(vec![teller("loud", many.chain([own]).collect())]).await,
        holder_that_says(vec![teller("quiet", vec![one])]).await,
    );
    let mut edge = Node::start(plan("edge")).await;
    edge.finds(&[loud, quiet]);
    edge.is_linked_to(&["loud", "quiet"]).await;
    log.says(&["WARN", "no node answers", "node=z", "127.9.9.9:1"]).await;
    log.says(&["WARN", "no node answers", "127.1.", "teller=loud", "told=1023"]).await;
    assert_eq!(log.count(&["WARN", "no node answers"]), 2);
}

#[tokio::test]
async fn a_holder_that_relays_before_its_welcome_gets_no_link() {
    let (log, _logging) = Log::start();
    let edge = Node::start(plan("edge")).await;
    edge.finds(&[holder_that_says(vec![notices(notice::Kind::Up(proto::Up {})), welcome()]).await]);
    log.says(&["WARN", "no node answers", "notices: before the welcome"]).await;
    assert!(edge.linked.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_accepts_and_says_nothing_is_tried_again() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let (edge, _other) = (Node::start(plan("edge").on(&net)).await, Node::start(plan("other").on(&net)).await);
    net.goes_silent(true);
    edge.finds(&[([10, 0, 0, 2], 4_500).into()]);
    log.says(&["WARN", "no node answers", "10.0.0.2:4500"]).await;
    let tried = || net.connections.load(std::sync::atomic::Ordering::SeqCst);
    let before = tried();
    until(|| tried() >= before + 3).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(tried() < before + 60);
}
