//! Hosts with a network of their own, where packets vanish: no proxy that still takes connections, no reset, only
//! retransmission.
//!
//! Each host is a network namespace with two cables to switches in the hub, another namespace: one to the other hosts, one to
//! the hub itself, where Redis is. A namespace lasts as long as a process in it: when the test process ends, in whatever way,
//! nothing is left, and this machine's own network is never touched. Unix sockets lead into and out of namespaces.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::eventually::eventually;
use super::process::Process;

/// One of the cables of a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cable {
    /// To the other hosts.
    Peers,
    /// To the hub.
    Hub,
}

impl Cable {
    const BOTH: [Self; 2] = [Self::Peers, Self::Hub];

    /// The switch, and the host's interface.
    fn name(self) -> &'static str {
        match self {
            Self::Peers => "peers",
            Self::Hub => "hub",
        }
    }

    /// The second byte of addresses there.
    fn number(self) -> usize {
        match self {
            Self::Peers => 1,
            Self::Hub => 2,
        }
    }

    /// The address of a host, counted from 0. All cables of a kind are one network.
    fn address(self, host: usize) -> String {
        format!("10.{}.0.{}", self.number(), host + 1)
    }

    /// Known to everybody from the beginning, so that a cable that is cut is not found out by asking for them.
    fn hardware_address(self, host: usize) -> String {
        format!("02:00:00:00:{:02x}:{:02x}", self.number(), host + 1)
    }

    /// The hub's end of a host's cable.
    fn plug(self, host: usize) -> String {
        format!("{}{host}", self.name())
    }
}

/// The hub's number among the hosts.
const HUB: usize = 99;

/// The hub and its hosts.
pub struct Network {
    hub: Place,
    hosts: Vec<Place>,
}

/// A namespace, where programs can be run.
#[derive(Clone)]
pub struct Place(Arc<Process>);

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({})", self.0.pid())
    }
}

impl Network {
    /// Why there can be none here, in words; none if there can.
    pub fn lacks() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("they are for root only".to_owned());
        }
        let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
        if let Some(program) = ["unshare", "nsenter", "ip"].iter().find(|program| missing(program)) {
            return Some(format!("{program} is not installed"));
        }
        // Not in every container.
        let try_out = Command::new("unshare").args(["-n", "ip", "link", "add", "one", "type", "bridge"]).output();
        let output = try_out.expect("unshare is there");
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// So many hosts, all of which reach each other and the hub.
    pub async fn of(hosts: usize) -> Self {
        let hub = Place::make().await;
        for cable in Cable::BOTH {
            hub.ip(&["link", "add", cable.name(), "address", &cable.hardware_address(HUB), "type", "bridge"]);
            hub.ip(&["link", "set", cable.name(), "up"]);
        }
        hub.ip(&["address", "add", &format!("{}/24", Cable::Hub.address(HUB)), "dev", Cable::Hub.name()]);
        let mut network = Self { hub, hosts: Vec::new() };
        for host in 0..hosts {
            network.add(host, hosts).await;
        }
        network
    }

    async fn add(&mut self, host: usize, hosts: usize) {
        let place = Place::make().await;
        for cable in Cable::BOTH {
            let (plug, name, namespace) = (cable.plug(host), cable.name(), place.0.pid().to_string());
            self.hub.ip(&["link", "add", &plug, "type", "veth", "peer", "name", name, "netns", &namespace]);
            self.hub.ip(&["link", "set", &plug, "up", "master", name]);
            place.ip(&["link", "set", name, "address", &cable.hardware_address(host), "up"]);
            place.ip(&["address", "add", &format!("{}/24", cable.address(host)), "dev", name]);
            for other in (0..hosts).chain([HUB]).filter(|other| *other != host) {
                place.knows(cable, other);
            }
        }
        self.hub.knows(Cable::Hub, host);
        self.hosts.push(place);
    }

    pub fn hub(&self) -> &Place {
        &self.hub
    }

    pub fn host(&self, host: usize) -> &Place {
        &self.hosts[host]
    }

    /// The address under which a host is known to the others.
    pub fn address(host: usize) -> String {
        Cable::Peers.address(host)
    }

    /// The hub's address.
    pub fn hub_address() -> String {
        Cable::Hub.address(HUB)
    }

    /// From now on everything vanishes that is sent over a cable. Neither end can see that.
    pub fn cut(&self, host: usize, cable: Cable) {
        self.hub.ip(&["link", "set", &cable.plug(host), "nomaster"]);
    }

    /// Takes [`Network::cut`] back.
    pub fn mend(&self, host: usize, cable: Cable) {
        self.hub.ip(&["link", "set", &cable.plug(host), "master", cable.name()]);
    }
}

impl Place {
    async fn make() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "sleep", "infinity"]).stdout(Stdio::null()).stderr(Stdio::null());
        let place = Self(Arc::new(Process::start(&mut command)));
        let own = fs::read_link("/proc/self/ns/net").expect("this process has a network");
        eventually("a network namespace", || async { fs::read_link(place.file()).is_ok_and(|other| other != own) })
            .await;
        place.ip(&["link", "set", "lo", "up"]);
        place
    }

    fn file(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.pid()).into()
    }

    /// A command that runs a program there. The process is the program's own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file().display())).arg("--").arg(program);
        command
    }

    fn knows(&self, cable: Cable, host: usize) {
        let (address, hardware) = (cable.address(host), cable.hardware_address(host));
        self.ip(&["neighbour", "replace", &address, "lladdr", &hardware, "dev", cable.name(), "nud", "permanent"]);
    }

    fn ip(&self, arguments: &[&str]) {
        let output = self.command("ip").args(arguments).output().expect("nsenter is there");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {}: {complaint}", arguments.join(" "));
    }
}
