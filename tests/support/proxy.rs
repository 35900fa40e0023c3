//! What lies between a server and others: connections that fall silent, are held up in one direction, cut, or refused.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to connections, those that are there and new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rules {
    /// Nothing reaches the target; what is sent meanwhile, ends of connections too, arrives when this is taken back.
    pub holds_requests: bool,
    /// Nothing comes from the target, likewise.
    pub holds_answers: bool,
    /// New connections are reset.
    pub refuses: bool,
    /// How many times all connections were forgotten.
    forgotten: u32,
    /// How many of these times are over, so that the other host knows no more of the connections either.
    buried: u32,
    /// How many times all connections were reset.
    cut: u32,
}

/// A set of rules, for the connections of one proxy or for some of them.
#[derive(Debug, Clone, Default)]
pub struct Gate(watch::Sender<Rules>);

impl Gate {
    /// Nothing passes from now on, in neither direction, and nobody is told. Takes effect for new connections too.
    pub fn fall_silent(&self) {
        self.set(|rules| (rules.holds_requests, rules.holds_answers) = (true, true));
    }

    /// Only what goes to the target, or only what comes from it, stops passing.
    pub fn fall_half_silent(&self, towards_the_target: bool) {
        self.set(|rules| (rules.holds_requests, rules.holds_answers) = (towards_the_target, !towards_the_target));
    }

    /// Everything passes again, what was held up first, as after a network's outage. Connections that were forgotten are
    /// reset.
    pub fn open(&self) {
        self.set(|rules| {
            (rules.holds_requests, rules.holds_answers, rules.refuses) = (false, false, false);
            rules.buried = rules.forgotten;
        });
    }

    /// Resets the connections that are there, and new ones until this gate is opened.
    pub fn refuse(&self) {
        self.set(|rules| {
            rules.refuses = true;
            rules.cut += 1;
        });
    }

    /// Resets the connections that are there.
    pub fn cut(&self) {
        self.set(|rules| rules.cut += 1);
    }

    /// From now on nothing passes over the connections that are there, in no direction, and they stay open. New ones are
    /// handed on.
    pub fn forget_connections(&self) {
        self.set(|rules| rules.forgotten += 1);
    }

    fn set(&self, change: impl FnOnce(&mut Rules)) {
        self.0.send_modify(change);
    }
}

/// Hands on what goes to a port of 127.0.0.1, under rules.
pub struct Proxy {
    port: u16,
    gate: Gate,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    /// With one set of rules for all.
    pub async fn to(target: u16) -> Self {
        Self::choosing(target, |gate, _, _| gate.clone()).await
    }

    /// With the rules that `choose` finds for a connection, given the proxy's own gate, its port and the client's port. It may
    /// take its time, on a thread of its own.
    pub async fn choosing(target: u16, choose: impl Fn(&Gate, u16, u16) -> Gate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (gate, tasks) = (Gate::default(), Arc::<Mutex<Vec<_>>>::default());
        let accepting = tokio::spawn({
            let (gate, tasks, choose) = (gate.clone(), Arc::clone(&tasks), Arc::new(choose));
            async move {
                while let Ok((client, from)) = listener.accept().await {
                    let (gate, choose) = (gate.clone(), Arc::clone(&choose));
                    let serving = async move {
                        let chosen = tokio::task::spawn_blocking(move || choose(&gate, port, from.port()));
                        let rules = chosen.await.expect("rules are chosen").0.subscribe();
                        under(rules, client, target).await;
                    };
                    let mut tasks = tasks.lock();
                    tasks.retain(|task: &JoinHandle<()>| !task.is_finished());
                    tasks.push(tokio::spawn(serving));
                }
            }
        });
        tasks.lock().push(accepting);
        Self { port, gate, tasks }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The rules for all connections for which no others were chosen.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// See [`Gate::forget_connections`].
    pub fn forget_connections(&self) {
        self.gate.forget_connections();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

/// Serves a connection until it ends, is cut or forgotten.
async fn under(mut rules: watch::Receiver<Rules>, mut client: TcpStream, target: u16) {
    let first = *rules.borrow_and_update();
    let server = TcpStream::connect(("127.0.0.1", target)).await;
    let (Ok(mut server), false) = (server, first.refuses) else {
        return reset(&client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let changed = rules.clone();
    let ruled = rules.wait_for(|now| now.cut != first.cut || now.forgotten != first.forgotten);
    let is_cut = tokio::select! {
        // The end of one direction is the end of the connection: neither Redis nor gRPC uses one half.
        () = carry(from_client, to_server, changed.clone(), |rules| rules.holds_requests) => None,
        () = carry(from_server, to_client, changed, |rules| rules.holds_answers) => None,
        ruled = ruled => ruled.ok().map(|now| now.cut != first.cut),
    };
    let Some(is_cut) = is_cut else { return };
    if !is_cut {
        // Not dropped yet: nobody is told.
        let _ = rules.wait_for(|now| now.buried > first.forgotten).await;
    }
    reset(&client);
    reset(&server);
}

/// Ends the connection, as soon as it is dropped, in the way of a host that knows nothing of it.
fn reset(connection: &TcpStream) {
    let _ = connection.set_zero_linger();
}

/// Carries one direction to its end, which passes like everything else only when nothing is held up.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut rules: watch::Receiver<Rules>,
    is_held: fn(&Rules) -> bool,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await;
        if rules.wait_for(|rules| !is_held(rules)).await.is_err() {
            return;
        }
        match read {
            Ok(count) if count > 0 && to.write_all(&bytes[..count]).await.is_ok() => {}
            Ok(_) | Err(_) => return,
        }
    }
}
