//! Messages as bytes. What would take much more memory when it is read than on the way is refused before it is read.

use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstCodec;

use super::{
    proto::{EdgeMessage, HolderMessage},
    wire::MOST_ORDERS,
};

/// Bytes of a message of many notices: as many as are sent together, with what stands around them.
const MANY: usize = 65 * 1024;

/// Bytes of a greeting, which anybody may send.
const GREETING: usize = 64 * 1024;

/// Bytes of a message with members.
const MEMBERS: usize = 1024 * 1024;

/// A message that can be looked at before it is read.
pub(super) trait Bounded: Message + Default + Send + 'static {
    /// What is wrong with it, if anything is.
    fn problem(bytes: &[u8]) -> Option<&'static str>;
}

/// The codec of all calls.
#[derive(Clone, Debug)]
pub(super) struct BoundedCodec<T, U>(ProstCodec<T, U>);

/// Reads what is within bounds.
pub(super) struct BoundedDecoder<D>(D);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T: Message + Send + 'static, U: Bounded> Codec for BoundedCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = BoundedDecoder<<ProstCodec<T, U> as Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(self.0.decoder())
    }
}

impl<D: Decoder<Error = Status, Item: Bounded>> Decoder for BoundedDecoder<D> {
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // It is in one piece.
        match D::Item::problem(prost::bytes::Buf::chunk(message)) {
            Some(problem) => Err(Status::out_of_range(problem)),
            None => self.0.decode(message),
        }
    }
}

impl Bounded for HolderMessage {
    fn problem(bytes: &[u8]) -> Option<&'static str> {
        let is_well = match only_field(bytes) {
            _ if bytes.len() <= MANY => true,
            Some((3, notices)) => only_field(notices).is_some_and(|(number, _)| number == 1),
            Some((1 | 4, _)) => bytes.len() <= MEMBERS,
            _ => false,
        };
        (!is_well).then_some("the message is too large for what is in it")
    }
}

impl Bounded for EdgeMessage {
    fn problem(bytes: &[u8]) -> Option<&'static str> {
        match only_field(bytes) {
            _ if bytes.len() <= GREETING => None,
            Some((2, orders)) => has_many(orders).then_some("orders.orders has too many entries"),
            _ => Some("the message is too large for what is in it"),
        }
    }
}

/// Number and content of the field that the bytes consist of, if they are nothing else and it has a length.
fn only_field(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, content, rest) = field(bytes)?;
    rest.is_empty().then_some((number, content))
}

/// The first field, and what comes after it.
fn field(mut bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (number, WireType::LengthDelimited) = decode_key(&mut bytes).ok()? else { return None };
    let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((number, content, rest))
}

/// Whether there are more entries than may be, or something else among them.
fn has_many(mut orders: &[u8]) -> bool {
    let mut count = 0;
    while !orders.is_empty() && count <= MOST_ORDERS {
        let Some((_, _, rest)) = field(orders) else { return true };
        (orders, count) = (rest, count + 1);
    }
    count > MOST_ORDERS
}

#[cfg(test)]
mod tests {
    use super::{
        super::proto::{self, edge_message, holder_message, notice, order},
        *,
    };

    fn notices(kinds: impl Iterator<Item = notice::Kind>) -> Vec<u8> {
        let notices = kinds.map(|kind| proto::Notice { kind: Some(kind) }).collect();
        HolderMessage { kind: Some(holder_message::Kind::Notices(proto::Notices { notices })) }.encode_to_vec()
    }

    fn event(bytes: usize) -> notice::Kind {
        notice::Kind::Event(proto::Event { ask: 1, age: 0, message: vec![b'x'; bytes].into() })
    }

    #[test]
    fn a_large_event_passes_alone_and_not_with_anything_else() {
        assert_eq!(HolderMessage::problem(&notices([event(40 << 20)].into_iter())), None);
        assert!(HolderMessage::problem(&notices([event(1 << 20), event(1)].into_iter())).is_some());
        let twice = [notices([event(1 << 20)].into_iter()), notices([event(1)].into_iter())].concat();
        assert!(HolderMessage::problem(&twice).is_some());
    }

    #[test]
    fn many_small_notices_pass_up_to_what_is_sent_together() {
        let tick = || notice::Kind::Tick(proto::Tick::default());
        assert_eq!(HolderMessage::problem(&notices((0..16 * 1024).map(|_| tick()))), None);
        assert!(HolderMessage::problem(&notices((0..256 * 1024).map(|_| tick()))).is_some());
    }

    #[test]
    fn all_members_with_the_longest_names_pass() {
        let member = proto::Member { node: "n".repeat(128), incarnation: u64::MAX, address: "a".repeat(260) };
        let members = proto::Members { members: vec![member; 1_024] };
        let said = HolderMessage { kind: Some(holder_message::Kind::Members(members)) };
        assert_eq!(HolderMessage::problem(&said.encode_to_vec()), None);
    }

    #[test]
    fn orders_are_counted_before_they_are_read_and_a_greeting_is_short() {
        let hold = |bytes: usize| order::Kind::Hold(proto::Hold { channel: "x".repeat(bytes) });
        let orders = |count: usize, bytes: usize| {
            let order = proto::Order { ask: 1, kind: Some(hold(bytes)) };
            let orders = proto::Orders { orders: vec![order; count] };
            EdgeMessage { kind: Some(edge_message::Kind::Orders(orders)) }.encode_to_vec()
        };
        assert_eq!(EdgeMessage::problem(&orders(MOST_ORDERS, 100)), None);
        assert_eq!(EdgeMessage::problem(&orders(2, 2 << 20)), None);
        assert!(EdgeMessage::problem(&orders(MOST_ORDERS + 1, 100)).is_some());
        let greeting = proto::Greeting { cluster: "x".repeat(100_000), ..proto::Greeting::default() };
        let greeting = EdgeMessage { kind: Some(edge_message::Kind::Greeting(greeting)) };
        assert!(EdgeMessage::problem(&greeting.encode_to_vec()).is_some());
    }
}
