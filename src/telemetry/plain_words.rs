//! Plain words for what goes wrong with connections.

/// What Rust's debug output of errors contains, of I/O and of TLS, and what it means; the first that fits counts.
/// The library for Redis hands on no errors but these texts.
const WORDS: [(&str, &str); 20] = [
    ("failed to lookup address information", "the name does not resolve"),
    ("Failed to resolve", "the name does not resolve"),
    ("NotValidForName", "its certificate is not valid for"),
    ("UnknownIssuer", "its certificate is by an authority that is not trusted"),
    ("InvalidCertificate(Expired", "its certificate has expired"),
    ("InvalidCertificate(NotValidYet", "its certificate is not valid yet"),
    ("InvalidCertificate", "its certificate is not valid"),
    ("InvalidMessage", "it does not speak TLS"),
    ("AlertReceived", "it refuses TLS"),
    ("ConnectionRefused", "connection refused"),
    ("ConnectionReset", "connection reset"),
    ("ConnectionAborted", "connection aborted"),
    ("BrokenPipe", "connection closed"),
    ("UnexpectedEof", "connection closed"),
    ("TimedOut", "timed out"),
    ("HostUnreachable", "no route to the host"),
    ("NetworkUnreachable", "no route to the network"),
    ("NotFound", "no such file or socket"),
    ("PermissionDenied", "permission denied"),
    ("AddrNotAvailable", "no local address or port is free"),
];

/// An error of I/O or TLS, told by its debug output, in plain words; `None` if it is another. `host` is the name by which
/// the server was looked for.
pub fn plain_words(debug: &str, host: &str) -> Option<String> {
    let (part, words) = WORDS.iter().find(|(part, _)| debug.contains(part))?;
    Some(if *part == "NotValidForName" { format!("{words} {host}") } else { (*words).to_owned() })
}

/// Whether the error concerns TLS, so that what to trust is to be looked at rather than the address.
pub fn concerns_tls(debug: &str) -> bool {
    ["InvalidCertificate", "InvalidMessage", "AlertReceived"].iter().any(|part| debug.contains(part))
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    fn words(error: &Error) -> Option<String> {
        plain_words(&format!("{error:?}"), "db.example")
    }

    #[test]
    fn errors_of_the_system_are_told_without_numbers_and_names_of_rust() {
        assert_eq!(words(&Error::from_raw_os_error(111)).as_deref(), Some("connection refused"));
        assert_eq!(words(&Error::from_raw_os_error(2)).as_deref(), Some("no such file or socket"));
        assert_eq!(words(&Error::from_raw_os_error(113)).as_deref(), Some("no route to the host"));
    }

    #[test]
    fn kinds_alone_are_errors_too() {
        assert_eq!(words(&ErrorKind::ConnectionReset.into()).as_deref(), Some("connection reset"));
        assert_eq!(words(&Error::new(ErrorKind::TimedOut, "x")).as_deref(), Some("timed out"));
    }

    #[test]
    fn a_name_that_does_not_resolve_is_told_as_such() {
        use std::net::ToSocketAddrs;
        let error = "flodgatt.invalid:1".to_socket_addrs().expect_err("no such name");
        assert_eq!(words(&error).as_deref(), Some("the name does not resolve"));
    }

    #[test]
    fn another_error_has_no_words() {
        assert_eq!(words(&Error::other("what is this")), None);
    }
}
