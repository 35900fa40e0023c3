//! A connection that falls silent: what a firewall does that has forgotten it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Hands on what goes to a port of 127.0.0.1, as long as it is not told to forget the connection.
pub struct Proxy {
    port: u16,
    /// How many times everything was forgotten.
    generation: watch::Sender<u32>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (generation, tasks) = (watch::Sender::new(0), Arc::<Mutex<Vec<_>>>::default());
        let accepting = tokio::spawn({
            let (generation, tasks) = (generation.subscribe(), Arc::clone(&tasks));
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (generation, handed_on) = (generation.clone(), hand_on(client, target));
                    tasks.lock().push(tokio::spawn(until_forgotten(handed_on, generation)));
                }
            }
        });
        tasks.lock().push(accepting);
        Self { port, generation, tasks }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing passes over the connections that are there, in no direction, and they stay open. New ones are
    /// handed on.
    pub fn forget_connections(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

async fn until_forgotten(connection: impl Future<Output = ()>, mut generation: watch::Receiver<u32>) {
    let own = *generation.borrow_and_update();
    let mut connection = std::pin::pin!(connection);
    let forgotten = async {
        let _ = generation.wait_for(|current| *current != own).await;
    };
    tokio::select! {
        () = &mut connection => return,
        () = forgotten => {}
    }
    // Not dropped: nobody is told.
    std::future::pending::<()>().await;
}

async fn hand_on(mut client: TcpStream, target: u16) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
