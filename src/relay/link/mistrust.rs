//! Why two nodes could not agree on TLS, in words for operators.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use rustls::{AlertDescription, CertificateError, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Wire;

/// What is wrong with a handshake, as this node sees it: with the variable to look at. Says the same each time, however
/// much later.
pub(super) fn explain(error: &io::Error) -> String {
    match cause(error) {
        Some(Error::InvalidCertificate(problem)) => of_certificate(problem),
        Some(Error::AlertReceived(alert)) => of_alert(*alert).map_or_else(|| error.to_string(), str::to_owned),
        Some(Error::NoCertificatesPresented) => "it shows no certificate (CLUSTER_TLS_CERT there)".to_owned(),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS (CLUSTER_TLS_CERT there)".to_owned(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it has given up the handshake; its log says why if it is a node".to_owned()
        }
        _ => error.to_string(),
    }
}

/// What the other node said last about this one's certificate. In TLS 1.3 it says so when the handshake is over on this side,
/// to whoever reads then; the HTTP/2 library keeps no more of it than a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<OnceLock<&'static str>>);

impl Told {
    pub(super) fn get(&self) -> Option<&'static str> {
        self.0.get().copied()
    }
}

/// A connection that takes note of what is told.
pub(super) struct Listening {
    wire: Box<dyn Wire>,
    told: Told,
}

impl Listening {
    pub(super) fn new(wire: Box<dyn Wire>, told: Told) -> Self {
        Self { wire, told }
    }

    fn hear<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result
            && let Some(Error::AlertReceived(alert)) = cause(error)
            && let Some(text) = of_alert(*alert)
        {
            let _ = self.told.0.set(text);
        }
        result
    }
}

impl AsyncRead for Listening {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.wire).poll_read(cx, into);
        self.hear(result)
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.wire).poll_write(cx, bytes);
        self.hear(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.wire).poll_write_vectored(cx, parts);
        self.hear(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.wire).poll_flush(cx);
        self.hear(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|cause| cause.downcast_ref())
}

fn of_certificate(problem: &CertificateError) -> String {
    match problem {
        // An authority that was made anew under the same name is recognised by that, and has not signed it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by nobody in CLUSTER_TLS_CA here (CLUSTER_TLS_CERT there)".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired (CLUSTER_TLS_CERT there)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet (CLUSTER_TLS_CERT there, and the clocks)".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| name_of(name)).collect();
            let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
            let expected = expected.to_str();
            format!(
                "its certificate is not valid for {expected}, but for {names} (CLUSTER_TLS_CERT there, CLUSTER_PEERS here)"
            )
        }
        problem => format!("its certificate cannot be used: {problem} (CLUSTER_TLS_CERT there)"),
    }
}

/// A name as the library shows it: `DnsName("nodes.example")`, `IpAddress(127.0.0.1)`.
fn name_of(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"')
}

fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it does not believe who signed this node's certificate (CLUSTER_TLS_CERT here, CLUSTER_TLS_CA there)"
        }
        AlertDescription::CertificateExpired => {
            "it says that this node's certificate has expired, or is not valid yet (CLUSTER_TLS_CERT here)"
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => {
            "it does not accept this node's certificate; its log says why (CLUSTER_TLS_CERT here)"
        }
        AlertDescription::CertificateRequired => "it wants a certificate (CLUSTER_TLS_CERT here)",
        _ => return None,
    })
}
