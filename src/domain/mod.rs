//! The vocabulary of the server, without tokio and without I/O: what can be named, read and decided from values alone.

pub mod channel;
pub mod close;
pub mod deflate;
pub mod event;
pub mod filter;
pub mod frame;
mod ids;
pub mod json;
pub mod refusal;
pub mod status;
pub mod stream;
pub mod tag;
pub mod text;
pub mod viewer;

pub use channel::{Channel, ChannelKind};
pub use close::CloseReason;
pub use event::Event;
pub use frame::{Frame, Framing, Transport};
pub use ids::{AccountId, ListId, TokenId};
pub use refusal::Refusal;
pub use status::Status;
pub use stream::{Stream, StreamName, StreamRequest};
pub use viewer::Viewer;
