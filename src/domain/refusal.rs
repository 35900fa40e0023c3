//! What a client is told when it does not get what it asked for.

/// Every error that a client can see. Nothing else of an internal error reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token was shown.
    MissingToken,
    /// The token is unknown, revoked or expired, or its account may not log in.
    InvalidToken,
    /// The token does not cover the stream.
    MissingScopes,
    /// No such path.
    UnknownChannel,
    /// No such stream.
    UnknownStream,
    /// A hashtag stream without tag.
    MissingTag,
    /// A list stream without list.
    MissingList,
    /// A list that does not exist or belongs to somebody else.
    ForeignList,
    /// One connection holds as many subscriptions as it may.
    TooManySubscriptions,
    /// A statement failed, or something else that is not the client's fault.
    Internal,
    /// The database cannot be reached.
    Unavailable,
}

impl Refusal {
    /// The HTTP status, also given in the error message of a WebSocket.
    pub fn status(self) -> u16 {
        match self {
            Self::MissingToken | Self::InvalidToken | Self::MissingScopes | Self::ForeignList => 401,
            Self::UnknownChannel | Self::UnknownStream | Self::MissingTag | Self::MissingList => 400,
            Self::TooManySubscriptions => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The text for the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::MissingToken => "Missing access token",
            Self::InvalidToken => "Invalid access token",
            Self::MissingScopes => "Access token does not have the required scopes",
            Self::UnknownChannel => "Unknown channel requested",
            Self::UnknownStream => "Unknown stream type",
            Self::MissingTag => "Missing tag name parameter",
            Self::MissingList => "Missing list name parameter",
            Self::ForeignList => "Not authorized to stream this list",
            Self::TooManySubscriptions => "Too many subscriptions on this connection",
            Self::Internal => "An unexpected error occurred",
            Self::Unavailable => "The server cannot look up accounts at the moment, please try again",
        }
    }
}
