//! Which processor does what: the server has one for itself, everything else shares the others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[derive(Clone, Copy)]
pub struct Cores {
    server: CpuSet,
    others: CpuSet,
    is_shared: bool,
}

impl Cores {
    /// Of those that this process may use: the first is the server's.
    pub fn divide() -> Self {
        let all = sched_getaffinity(None).expect("a process may ask that");
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|number| all.is_set(*number));
        let first = numbers.next().expect("this runs somewhere");
        let mut server = CpuSet::new();
        server.set(first);
        let mut others = all;
        others.unset(first);
        if others.count() == 0 {
            return Self { server, others: server, is_shared: true };
        }
        Self { server, others, is_shared: false }
    }

    /// Whether the server has to share its core with what measures it.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// From now on this thread, and what it starts, leaves the server's core alone.
    pub fn leave_server_alone(&self) {
        sched_setaffinity(None, &self.others).expect("they are among its own");
    }

    /// Whatever this starts runs on the server's core.
    pub fn on_server<T>(&self, start: impl FnOnce() -> T) -> T {
        sched_setaffinity(None, &self.server).expect("it is among its own");
        let started = start();
        self.leave_server_alone();
        started
    }
}

/// Files that may be open: as many as the system lets this process, and what it starts, have.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
