//! How two nodes show each other that they know the secret, which itself never goes over a connection.
//!
//! Each side makes a challenge, and answers that of the other with a code (HMAC-SHA-256, RFC 2104) that only who knows the
//! secret can make. The holder goes first: an edge says nothing of itself to who has not shown that it knows the secret.

use std::num::NonZero;

use ring::{
    hmac::{self, HMAC_SHA256, Key, Tag},
    pbkdf2::{self, PBKDF2_HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};

use crate::cluster::{ClusterName, Secret};

/// Bytes of a challenge: 16 that all of one process begin with, and 16 random ones.
const CHALLENGE: usize = 32;
const OF_PROCESS: usize = 16;

/// What one side wants to have a code for: never the same again.
pub(super) type Challenge = [u8; CHALLENGE];

/// How the key is made of the secret (PBKDF2, RFC 8018), so that a weak one takes long to guess: anybody who can connect gets
/// an answer to try guesses with.
const SALT: &[u8] = b"flodgatt.relay.v1 ";
const ITERATIONS: NonZero<u32> = NonZero::new(if cfg!(test) { 10 } else { 200_000 }).expect("neither is zero");

/// The names under which challenge and proof stand among the headers of the call and of its response.
pub(super) const CHALLENGE_HEADER: &str = "flodgatt-challenge-bin";
pub(super) const PROOF_HEADER: &str = "flodgatt-proof-bin";

/// Who proves something. A proof of one kind is worth nothing as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Edge,
    Holder,
    /// A holder that is asked by an edge of its own process. What it says could be brought to that edge by somebody else,
    /// who would pass for a node that knows the secret.
    SameProcess,
}

/// Knowledge of the secret, shared by the edge and the holder of a process.
pub(super) struct Credential {
    key: Key,
    cluster: ClusterName,
    process: [u8; OF_PROCESS],
    random: SystemRandom,
}

/// The challenges of both sides of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Challenges {
    edge: Challenge,
    holder: Challenge,
}

impl Challenges {
    /// Whether the edge is that of the same process.
    pub(super) fn are_of_one_process(&self) -> bool {
        self.edge[..OF_PROCESS] == self.holder[..OF_PROCESS]
    }

    pub(super) fn of_holder(&self) -> &Challenge {
        &self.holder
    }
}

/// Who has answered a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answerer {
    /// Another process that knows the secret.
    Another,
    /// This process.
    Itself,
}

impl Credential {
    /// Takes a tenth of a second or so.
    pub(super) fn new(secret: &Secret, cluster: ClusterName) -> Self {
        let random = SystemRandom::new();
        let salt = [SALT, cluster.as_str().as_bytes()].concat();
        let mut key = [0; 32];
        pbkdf2::derive(PBKDF2_HMAC_SHA256, ITERATIONS, &salt, secret.expose().as_bytes(), &mut key);
        let key = Key::new(HMAC_SHA256, &key);
        Self { key, cluster, process: random_bytes(&random), random }
    }

    /// One that was never made before.
    pub(super) fn challenge(&self) -> Challenge {
        let random: [u8; CHALLENGE - OF_PROCESS] = random_bytes(&self.random);
        let mut challenge = [0; CHALLENGE];
        challenge[..OF_PROCESS].copy_from_slice(&self.process);
        challenge[OF_PROCESS..].copy_from_slice(&random);
        challenge
    }

    /// The holder's part: what it says to the challenge of an edge, if that is one.
    pub(super) fn answer(&self, edge: &[u8]) -> Option<(Challenges, Tag)> {
        let challenges = Challenges { edge: edge.try_into().ok()?, holder: self.challenge() };
        let role = if challenges.are_of_one_process() { Role::SameProcess } else { Role::Holder };
        Some((challenges, hmac::sign(&self.key, &self.text(role, &challenges))))
    }

    /// The edge's part: who has answered its challenge, if they know the secret; and its own proof.
    pub(super) fn judge(&self, edge: Challenge, holder: &[u8], proof: &[u8]) -> Option<(Answerer, Tag)> {
        let challenges = Challenges { edge, holder: holder.try_into().ok()? };
        let is = |role| hmac::verify(&self.key, &self.text(role, &challenges), proof).is_ok();
        let answerer = match (is(Role::Holder), is(Role::SameProcess)) {
            (true, _) => Answerer::Another,
            (false, true) => Answerer::Itself,
            (false, false) => return None,
        };
        Some((answerer, hmac::sign(&self.key, &self.text(Role::Edge, &challenges))))
    }

    /// Whether the edge knows the secret.
    pub(super) fn is_proven(&self, challenges: &Challenges, proof: &[u8]) -> bool {
        hmac::verify(&self.key, &self.text(Role::Edge, challenges), proof).is_ok()
    }

    /// What is proven: no two cases have the same text, as all parts but the last have a length of their own.
    fn text(&self, role: Role, challenges: &Challenges) -> Vec<u8> {
        let role: &[u8] = match role {
            Role::Edge => b"flodgatt.relay.v1 edge  ",
            Role::Holder => b"flodgatt.relay.v1 holder",
            Role::SameProcess => b"flodgatt.relay.v1 same  ",
        };
        [role, &challenges.edge, &challenges.holder, self.cluster.as_str().as_bytes()].concat()
    }
}

fn random_bytes<const N: usize>(random: &SystemRandom) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes).expect("the system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(secret: &str, cluster: &str) -> Credential {
        Credential::new(&secret.parse().unwrap(), cluster.parse().unwrap())
    }

    fn good() -> Credential {
        credential("correct-horse-battery", "test")
    }

    /// Who the edge takes the holder for, and whether that believes the edge.
    fn meet(edge: &Credential, holder: &Credential) -> (Option<Answerer>, bool) {
        let challenge = edge.challenge();
        let (challenges, proof) = holder.answer(&challenge).unwrap();
        match edge.judge(challenge, &challenges.holder, proof.as_ref()) {
            Some((answerer, proof)) => (Some(answerer), holder.is_proven(&challenges, proof.as_ref())),
            None => (None, false),
        }
    }

    #[test]
    fn two_that_know_the_secret_of_the_same_cluster_believe_each_other() {
        assert_eq!(meet(&good(), &good()), (Some(Answerer::Another), true));
        assert_eq!(meet(&good(), &credential("correct-horse-batterz", "test")), (None, false));
        assert_eq!(meet(&good(), &credential("correct-horse-battery", "elsewhere")), (None, false));
    }

    #[test]
    fn a_process_knows_its_own_answer() {
        let own = good();
        assert_eq!(meet(&own, &own).0, Some(Answerer::Itself));
    }

    #[test]
    fn a_proof_is_worth_nothing_in_another_call_or_from_the_other_side() {
        let (edge, holder) = (good(), good());
        let challenge = edge.challenge();
        let (challenges, of_holder) = holder.answer(&challenge).unwrap();
        let (_, of_edge) = edge.judge(challenge, &challenges.holder, of_holder.as_ref()).unwrap();
        let (later, _) = holder.answer(&challenge).unwrap();
        assert!(!holder.is_proven(&later, of_edge.as_ref()));
        assert!(!holder.is_proven(&challenges, of_holder.as_ref()));
        assert!(!holder.is_proven(&challenges, b""));
        assert!(edge.judge(edge.challenge(), &challenges.holder, of_holder.as_ref()).is_none());
        assert!(edge.judge(challenge, &challenges.holder, of_edge.as_ref()).is_none());
    }

    #[test]
    fn a_challenge_has_its_length_and_is_never_the_same() {
        let holder = good();
        assert_ne!(holder.challenge(), holder.challenge());
        assert!(holder.answer(b"").is_none() && holder.answer(&[0; CHALLENGE + 1]).is_none());
    }
}
