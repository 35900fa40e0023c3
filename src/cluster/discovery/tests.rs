use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::*;

type Answer = Result<Vec<&'static str>, &'static str>;

/// Answers of DNS in their order; the last one for ever. `None` never comes.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<BTreeMap<String, VecDeque<Option<Answer>>>>>,
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Script {
    fn with(self, host: &str, answers: impl IntoIterator<Item = Option<Answer>>) -> Self {
        self.answers.lock().insert(host.to_owned(), answers.into_iter().collect());
        self
    }

    fn next(&self, peer: &PeerAddress) -> Option<Answer> {
        self.asked.lock().push((peer.host().to_owned(), Instant::now()));
        let mut all = self.answers.lock();
        let answers = all.get_mut(peer.host()).unwrap_or_else(|| panic!("{peer} should not be asked for"));
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap()
    }

    fn resolve(&self) -> Resolve {
        let script = self.clone();
        Box::new(move |peer| {
            let answer = script.next(&peer);
            Box::pin(async move {
                match answer {
                    Some(Ok(addresses)) => Ok(addresses.iter().map(|text| socket(text, peer.port())).collect()),
                    Some(Err(error)) => Err(io::Error::other(error)),
                    None => pending().await,
                }
            })
        })
    }

    /// How often a name was asked for.
    fn count(&self, host: &str) -> usize {
        self.asked.lock().iter().filter(|(asked, _)| asked == host).count()
    }

    /// Lets time pass until a name was asked for so often.
    async fn asked(&self, host: &str, times: usize) {
        while self.count(host) < times {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn discover(&self, peers: &str) -> watch::Receiver<Arc<BTreeSet<Found>>> {
        let peers = peers.split(' ').map(peer).collect();
        discover(peers, self.resolve(), &Lifecycle::new())
    }
}

fn peer(text: &str) -> PeerAddress {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// From an address, or one with port and interface.
fn socket(text: &str, port: u16) -> SocketAddr {
    text.parse().map_or_else(|_| text.parse().unwrap(), |ip| SocketAddr::new(ip, port))
}

fn some(addresses: &[&'static str]) -> Option<Answer> {
    Some(Ok(addresses.to_vec()))
}

fn error(text: &'static str) -> Option<Answer> {
    Some(Err(text))
}

/// A set in words: `address by host`.
fn words(found: &watch::Receiver<Arc<BTreeSet<Found>>>) -> Vec<String> {
    found.borrow().iter().map(|found| format!("{} by {}", found.address, found.host)).collect()
}

#[tokio::test(start_paused = true)]
async fn addresses_are_there_at_once_and_never_looked_up() {
    let script = Script::default();
    let found = script.discover("192.0.2.1:4500 [2001:db8::1]:4501");
    assert_eq!(words(&found), ["192.0.2.1:4500 by 192.0.2.1", "[2001:db8::1]:4501 by 2001:db8::1"]);
    tokio::time::sleep(PAUSE * 3).await;
    assert!(script.asked.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_stands_for_all_its_addresses() {
    let script = Script::default().with("nodes", [some(&["192.0.2.2", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1"])]);
    let mut found = script.discover("nodes:4500");
    assert!(words(&found).is_empty());
    found.changed().await.unwrap();
    assert_eq!(words(&found), ["192.0.2.1:4500 by nodes", "192.0.2.2:4500 by nodes"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_on_one_interface_is_found_with_the_interface() {
    let script = Script::default().with("nodes", [some(&["[fe80::1%3]:1"])]);
    let mut found = script.discover("nodes:4500");
    found.changed().await.unwrap();
    assert_eq!(words(&found), ["[fe80::1%3]:4500 by nodes"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_and_again() {
    let script = Script::default().with("nodes", [some(&["192.0.2.1"]), some(&["192.0.2.2"])]);
    let mut found = script.discover("nodes:4500");
    found.changed().await.unwrap();
    let first = Instant::now();
    found.changed().await.unwrap();
    assert_eq!(words(&found), ["192.0.2.2:4500 by nodes"]);
    assert_eq!(first.elapsed(), PAUSE);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_woken_while_nothing_changes() {
    let script =
        Script::default().with("nodes", [some(&["192.0.2.1", "192.0.2.2"]), some(&["192.0.2.2", "192.0.2.1"])]);
    let mut found = script.discover("nodes:4500");
    found.changed().await.unwrap();
    script.asked("nodes", 4).await;
    assert!(!found.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_known_stays_while_dns_fails_or_says_nothing_usable() {
    let rubbish = some(&["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"]);
    let answers = [some(&["192.0.2.1"]), error("no such host"), some(&[]), rubbish];
    let script = Script::default().with("nodes", answers);
    let mut found = script.discover("nodes:4500");
    found.changed().await.unwrap();
    script.asked("nodes", 6).await;
    assert!(!found.has_changed().unwrap());
    assert_eq!(words(&found), ["192.0.2.1:4500 by nodes"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fails_at_first_is_found_later() {
    let script = Script::default().with("nodes", [error("try again"), some(&["192.0.2.1"])]);
    let mut found = script.discover("nodes:4500");
    found.changed().await.unwrap();
    assert_eq!(words(&found), ["192.0.2.1:4500 by nodes"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_without_answer_holds_up_no_other_name_and_is_not_repeated() {
    let script = Script::default().with("silent", [None]).with("nodes", [some(&["192.0.2.1"]), some(&["192.0.2.2"])]);
    let mut found = script.discover("silent:4500 nodes:4500");
    for _ in 0..2 {
        found.changed().await.unwrap();
    }
    assert_eq!(words(&found), ["192.0.2.2:4500 by nodes"]);
    script.asked("nodes", 20).await;
    assert_eq!(script.count("silent"), 1);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_addresses_the_lowest_count() {
    let mut addresses: Vec<String> = (0..1_000).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
    addresses.reverse();
    let addresses: Vec<&'static str> = addresses.into_iter().map(|address| &*address.leak()).collect();
    let script = Script::default().with("nodes", [some(&addresses)]);
    let mut found = script.discover("nodes:4500");
    found.changed().await.unwrap();
    let words = words(&found);
    assert_eq!(words.len(), MOST_ADDRESSES);
    assert_eq!((words[0].as_str(), words[255].as_str()), ("10.0.0.0:4500 by nodes", "10.0.1.5:4500 by nodes"));
}

#[tokio::test(start_paused = true)]
async fn entries_with_the_same_address_do_not_take_it_from_each_other() {
    let script = Script::default()
        .with("one", [some(&["192.0.2.1"]), some(&["192.0.2.9"])])
        .with("two", [some(&["192.0.2.1", "192.0.2.2"])]);
    let found = script.discover("one:4500 two:4500 192.0.2.2:4500");
    script.asked("one", 3).await;
    assert_eq!(
        words(&found),
        ["192.0.2.1:4500 by two", "192.0.2.2:4500 by 192.0.2.2", "192.0.2.2:4500 by two", "192.0.2.9:4500 by one"]
    );
}

#[tokio::test(start_paused = true)]
async fn looking_up_ends_with_the_server() {
    let (script, lifecycle) = (Script::default().with("silent", [None]), Lifecycle::new());
    let _found = discover(vec![peer("silent:4500")], script.resolve(), &lifecycle);
    script.asked("silent", 1).await;
    lifecycle.stop();
    assert!(lifecycle.ended(Duration::from_secs(10)).await);
    assert!(!lifecycle.has_failed());
}

#[tokio::test]
async fn the_system_knows_this_machine() {
    let addresses = system_resolver()(peer("localhost:4500")).await.unwrap();
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 4500), "{addresses:?}");
    assert!(!addresses.is_empty());
    assert!(system_resolver()(peer("nowhere.invalid:4500")).await.is_err());
}

/// What is logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_problem_is_logged_once_until_there_is_another_or_none() {
    // With a single subscriber in the process, what the first thread at a line of code without one thinks of it would count
    // for all threads. That thread could be another test's.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let log = Log::default();
    let writer = log.clone();
    let _guard = tracing::subscriber::set_default(
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish(),
    );
    let answers = [error("refused"), error("refused"), some(&[]), some(&["::"]), some(&["192.0.2.1"]), None];
    let script = Script::default().with("nodes", answers);
    let _found = script.discover("nodes:4500");
    script.asked("nodes", 6).await;
    tokio::time::sleep(PATIENCE * 3).await;
    let lines = log.lines();
    let expected = ["refused; what was known", "no address that could", "properly again", "no answer in 10 s"];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.contains(part) && line.contains("nodes:4500") && line.contains("CLUSTER_PEERS"), "{line}");
    }
}
