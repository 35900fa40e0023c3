//! Who writes what the fan-out has offered.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::SessionHandle;
use crate::lifecycle::Lifecycle;

/// Sessions that whoever offered them something writes to at once: to hand over so few would cost more.
const FEW: usize = 8;

/// Sessions that are written to before others get the processor. Events that come meanwhile join those that wait.
const IN_A_ROW: usize = 64;

/// One task for each processor, each with a list of the sessions to which it has to write. So an event crosses threads once
/// for each task and not once for each session, and a session's task is left alone.
#[derive(Debug)]
pub struct Writers(Box<[Writer]>);

#[derive(Debug, Default)]
struct Writer {
    due: Mutex<Vec<Arc<SessionHandle>>>,
    woken: Notify,
}

impl Default for Writers {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self((0..processors).map(|_| Writer::default()).collect())
    }
}

impl Writers {
    /// Starts the tasks. After the stop each session writes by itself what still waits.
    pub fn start(self: &Arc<Self>, lifecycle: &Lifecycle) {
        for place in 0..self.0.len() {
            let own = Arc::clone(self);
            lifecycle.spawn_lasting("writer", async move { own.0[place].run().await });
        }
    }

    /// Sees to it that what is [due](super::Offer::Due) to these sessions is written. Never waits.
    pub fn write(&self, due: &[&Arc<SessionHandle>]) {
        if due.len() <= FEW {
            for session in due {
                session.outbox.write();
            }
            return;
        }
        let count = self.0.len();
        for (place, writer) in self.0.iter().enumerate() {
            let own = due.iter().filter(|session| session.id.share(count) == place);
            writer.due.lock().extend(own.map(|session| Arc::clone(session)));
            writer.woken.notify_one();
        }
    }
}

impl Writer {
    async fn run(&self) {
        loop {
            let due = std::mem::take(&mut *self.due.lock());
            if due.is_empty() {
                self.woken.notified().await;
            }
            for some in due.chunks(IN_A_ROW) {
                for session in some {
                    session.outbox.write();
                }
                tokio::task::yield_now().await;
            }
        }
    }
}
