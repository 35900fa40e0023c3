//! What lies between the nodes of a cluster: one proxy before each, and rules for any two of them.

use std::collections::HashMap;
use std::fs;

use parking_lot::Mutex;

use super::proxy::Gate;
use super::server_options::{ServerOptions, Starting};

/// The rules between any two nodes, and which process is which node.
#[derive(Default)]
pub struct Mesh {
    gates: Mutex<HashMap<(usize, usize), Gate>>,
    processes: Mutex<Vec<(u32, usize)>>,
}

impl Mesh {
    /// The rules for connections that one node makes to another.
    pub fn gate(&self, from: usize, to: usize) -> Gate {
        self.gates.lock().entry((from, to)).or_default().clone()
    }

    /// Starts a node's process. No connection of it is looked up before it is known.
    pub fn begin(&self, options: ServerOptions, index: usize) -> Starting {
        let mut processes = self.processes.lock();
        let starting = options.begin();
        processes.push((starting.pid(), index));
        starting
    }

    /// Which node has opened a connection from a port to a proxy's; none if it is no node, or the connection is gone.
    pub fn who_dials(&self, from: u16, proxy: u16) -> Option<usize> {
        let socket = format!("socket:[{}]", inode(from, proxy)?);
        let owns = |pid: u32| {
            let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target.to_string_lossy() == socket)
        };
        let processes = self.processes.lock().clone();
        processes.into_iter().rev().find(|(pid, _)| owns(*pid)).map(|(_, index)| index)
    }
}

/// The number under which the system knows the client's end of a connection on 127.0.0.1.
fn inode(from: u16, to: u16) -> Option<String> {
    let connections = fs::read_to_string("/proc/net/tcp").ok()?;
    let address = |port: u16| format!("0100007F:{port:04X}");
    let (from, to) = (address(from), address(to));
    connections.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Number, local and remote address, state, queues, timers, retransmissions, user, time-out, inode.
        (fields.get(1) == Some(&from.as_str()) && fields.get(2) == Some(&to.as_str()))
            .then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}
