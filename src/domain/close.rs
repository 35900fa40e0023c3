//! Why sessions end.

/// Every way in which a session ends: its close code and text on a WebSocket, and its label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed, or its connection was lost.
    ClientGone,
    /// Mastodon published `kill` for the token or the account.
    Killed,
    /// The client sent a binary message, which Mastodon's protocol does not have.
    BinaryMessage,
    /// The client sent a message over the limit.
    MessageTooBig,
    /// The client broke the WebSocket protocol (RFC 6455).
    ProtocolError,
    /// The client sent a text message that is not UTF-8.
    InvalidUtf8,
    /// The client sent a compressed message that cannot be inflated (RFC 7692).
    InvalidDeflate,
    /// The client did not answer a ping within a whole ping interval.
    PingTimeout,
    /// The client did not read as fast as events came: its outbox was full.
    OutboxFull,
    /// This server stops or restarts.
    Restart,
}

impl CloseReason {
    /// All of them, in the order of the metrics page.
    pub const ALL: [Self; 10] = [
        Self::ClientGone,
        Self::Killed,
        Self::BinaryMessage,
        Self::MessageTooBig,
        Self::ProtocolError,
        Self::InvalidUtf8,
        Self::InvalidDeflate,
        Self::PingTimeout,
        Self::OutboxFull,
        Self::Restart,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::Killed => "killed",
            Self::BinaryMessage => "binary_message",
            Self::MessageTooBig => "message_too_big",
            Self::ProtocolError => "protocol_error",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidDeflate => "invalid_deflate",
            Self::PingTimeout => "ping_timeout",
            Self::OutboxFull => "outbox_full",
            Self::Restart => "restart",
        }
    }

    /// What the WebSocket's close frame says.
    ///
    /// Code 1000 is never used: some clients do not come back after it.
    pub fn close_frame(self) -> CloseFrame {
        match self {
            Self::ClientGone | Self::PingTimeout => CloseFrame::None,
            Self::Killed => CloseFrame::Empty,
            Self::BinaryMessage => {
                CloseFrame::Code(1003, "The mastodon streaming server does not support binary messages")
            }
            Self::MessageTooBig => CloseFrame::Code(1009, ""),
            Self::ProtocolError => CloseFrame::Code(1002, ""),
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseFrame::Code(1007, ""),
            Self::OutboxFull => CloseFrame::Code(1013, "too slow: events were not read as fast as they came"),
            Self::Restart => CloseFrame::Code(1012, "service restart"),
        }
    }

    /// Whether frames that wait in the outbox are still written before the end.
    pub fn lets_pending_frames_out(self) -> bool {
        matches!(self, Self::Killed | Self::Restart)
    }
}

/// How a WebSocket is closed by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseFrame {
    /// Without a close frame: the connection is gone or given up.
    None,
    /// With a close frame that has no code.
    Empty,
    /// With a code of RFC 6455 (or its registry) and a reason that may be empty.
    Code(u16, &'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reason_closes_with_1000_after_which_some_clients_never_return() {
        for reason in CloseReason::ALL {
            assert!(!matches!(reason.close_frame(), CloseFrame::Code(1000, _)), "{}", reason.label());
        }
    }

    #[test]
    fn a_close_frame_fits_the_123_bytes_of_a_control_frame() {
        for reason in CloseReason::ALL {
            if let CloseFrame::Code(_, text) = reason.close_frame() {
                assert!(text.len() <= 123, "{text}");
            }
        }
    }
}
