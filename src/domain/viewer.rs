//! Who is behind a client connection.

use super::{AccountId, TokenId};

/// The account behind a client connection, as it was when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The account that the token belongs to.
    pub account: AccountId,
    /// The token that the client showed.
    pub token: TokenId,
    /// What the token may read.
    pub scopes: Scopes,
    /// `users.chosen_languages`: `None` lets every language through, an empty list none.
    pub languages: Option<Vec<String>>,
    /// `user_roles.permissions` of the user's own role.
    pub permissions: Permissions,
}

impl Viewer {
    /// Whether the viewer asked to see statuses in this language; a status without one is in no list.
    pub fn reads_language(&self, language: Option<&str>) -> bool {
        match (&self.languages, language) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(chosen), Some(language)) => chosen.iter().any(|one| one == language),
        }
    }
}

#[cfg(test)]
impl Viewer {
    /// A viewer with nothing special, for tests; its token's id is the account's and 100.
    pub fn in_tests(account: i64, scopes: &str) -> Self {
        Self {
            account: AccountId(account),
            token: TokenId(account + 100),
            scopes: Scopes::parse(scopes),
            languages: None,
            permissions: Permissions::default(),
        }
    }
}

/// Those of a token's OAuth scopes that open streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// `read`: every stream.
    pub read: bool,
    /// `read:statuses`: every stream but `user:notification`.
    pub read_statuses: bool,
    /// `read:notifications`: `user:notification`, and notifications on `user`.
    pub read_notifications: bool,
}

impl Scopes {
    /// Reads `oauth_access_tokens.scopes`: separated by single spaces, case-sensitive.
    pub fn parse(scopes: &str) -> Self {
        scopes.split(' ').fold(Self::default(), |known, scope| match scope {
            "read" => Self { read: true, ..known },
            "read:statuses" => Self { read_statuses: true, ..known },
            "read:notifications" => Self { read_notifications: true, ..known },
            _ => known,
        })
    }

    /// Whether statuses may be read.
    pub fn allow_statuses(self) -> bool {
        self.read || self.read_statuses
    }

    /// Whether notifications may be read.
    pub fn allow_notifications(self) -> bool {
        self.read || self.read_notifications
    }
}

/// The bit set `user_roles.permissions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(pub i64);

impl Permissions {
    const ADMINISTRATOR: i64 = 1 << 0;
    const VIEW_FEEDS: i64 = 1 << 20;

    /// Whether feeds are open to this role although the instance closed them.
    pub fn opens_closed_feeds(self) -> bool {
        self.0 & (Self::ADMINISTRATOR | Self::VIEW_FEEDS) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_split_at_single_spaces_and_are_case_sensitive() {
        assert_eq!(Scopes::parse("read write follow"), Scopes { read: true, ..Scopes::default() });
        assert_eq!(Scopes::parse("Read READ:STATUSES read,write"), Scopes::default());
        assert_eq!(Scopes::parse(""), Scopes::default());
        assert_eq!(Scopes::parse("write  read"), Scopes { read: true, ..Scopes::default() });
    }

    #[test]
    fn the_scope_of_statuses_does_not_open_notifications() {
        let scopes = Scopes::parse("read:statuses");
        assert!(scopes.allow_statuses() && !scopes.allow_notifications());
    }

    #[test]
    fn administrators_and_roles_with_view_feeds_pass_closed_feeds() {
        assert!(Permissions(1).opens_closed_feeds());
        assert!(Permissions(1 << 20).opens_closed_feeds());
        assert!(!Permissions(!(1 | 1 << 20)).opens_closed_feeds());
    }
}
