//! Database ids. Mastodon's are 64-bit integers in every table.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A row of `accounts`: somebody local or remote.
    AccountId
}
id! {
    /// A row of `oauth_access_tokens`.
    TokenId
}
id! {
    /// A row of `lists`.
    ListId
}
