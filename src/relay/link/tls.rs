//! Mutual TLS between nodes. The files are read again when they change; connections that are there stay.

use std::{fs, io, path::Path, sync::Arc, time::SystemTime};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use tokio::{sync::Mutex, task::spawn_blocking};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    mistrust::{Listening, Told},
    transport::{Attentive, Wire},
};
use crate::cluster::TlsFiles;

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {}: {problem}", .path.display())]
pub struct TlsError {
    variable: &'static str,
    path: std::path::PathBuf,
    problem: String,
}

/// This node's certificate, and whose it believes.
pub(super) struct Tls {
    files: TlsFiles,
    /// Of the peers that were configured: the certificate of every node must be valid for one of them.
    hosts: Arc<[ServerName<'static>]>,
    /// Who wants to know it waits for who reads the files.
    state: Mutex<State>,
}

struct State {
    stamp: Stamp,
    loaded: Arc<Loaded>,
}

/// What the files were like when they were read.
type Stamp = [Option<(SystemTime, u64)>; 3];

struct Loaded {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Arc<RootCertStore>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files. `hosts` are those by which peers are known.
    pub(super) fn load<'a>(files: &TlsFiles, hosts: impl Iterator<Item = &'a str>) -> Result<Self, TlsError> {
        let mut names: Vec<ServerName<'static>> = Vec::new();
        for name in hosts.filter_map(server_name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let state = State { stamp: stamp(files), loaded: Arc::new(Loaded::read(files, &names)?) };
        Ok(Self { files: files.clone(), hosts: names.into(), state: Mutex::new(state) })
    }

    /// Whether other nodes would believe the certificate of this one, as far as can be told here: with the same authorities
    /// and the same peers.
    pub(super) async fn examine(&self) -> Result<(), TlsError> {
        let examined = self.current().await.examine(&self.hosts);
        examined.map_err(|problem| TlsError {
            variable: "CLUSTER_TLS_CERT",
            path: self.files.certificate.clone(),
            problem,
        })
    }

    /// What counts now.
    async fn current(&self) -> Arc<Loaded> {
        let mut state = self.state.lock().await;
        let (files, hosts, before) = (self.files.clone(), Arc::clone(&self.hosts), state.stamp);
        let read = spawn_blocking(move || {
            // Before they are read: what changes meanwhile is seen the next time.
            let stamp = stamp(&files);
            (stamp != before).then(|| (stamp, Loaded::read(&files, &hosts)))
        });
        // Without an answer the server stops.
        if let Ok(Some((stamp, read))) = read.await {
            state.stamp = stamp;
            match read {
                Ok(loaded) => {
                    state.loaded = Arc::new(loaded);
                    tracing::info!("read the certificates for links to other nodes again, as the files have changed");
                }
                Err(error) => {
                    tracing::warn!(%error, "changed certificates cannot be used; those read before still count");
                }
            }
        }
        Arc::clone(&state.loaded)
    }

    /// Connects to the node known by this host, or by any, if it is not one that was configured. What that says later about
    /// the certificate of this node is told.
    pub(super) async fn connect(&self, wire: Attentive, host: Option<&str>, told: Told) -> io::Result<Box<dyn Wire>> {
        let names = host.map_or_else(|| self.hosts.to_vec(), |host| server_name(host).into_iter().collect());
        let Some(first) = names.first().cloned() else {
            return Err(io::Error::other("CLUSTER_PEERS has no name for which a certificate could be valid"));
        };
        let config = self.current().await.client(names).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(first, wire).await?;
        Ok(Box::new(Listening::new(Box::new(stream), told)))
    }

    /// Lets a node in that has a certificate for one of the hosts.
    pub(super) async fn accept(&self, wire: Attentive) -> io::Result<Box<dyn Wire>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current().await.server));
        Ok(Box::new(acceptor.accept(wire).await?))
    }
}

/// What is wrong with this node's own certificate.
fn flaw(error: &Error) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        Expired | ExpiredContext { .. } => "it has expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        NotValidForName | NotValidForNameContext { .. } => "it is not valid for any host in CLUSTER_PEERS".to_owned(),
        UnknownIssuer => "nobody in CLUSTER_TLS_CA has signed it".to_owned(),
        other => format!("it is not valid: {other}"),
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.trim_end_matches('.').to_owned()).ok()
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.certificate, &files.key, &files.authorities].map(|path| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}

impl Loaded {
    fn read(files: &TlsFiles, hosts: &[ServerName<'static>]) -> Result<Self, TlsError> {
        let problem = |variable, path: &Path, problem: String| TlsError { variable, path: path.to_owned(), problem };
        let chain = certificates("CLUSTER_TLS_CERT", &files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| problem("CLUSTER_TLS_KEY", &files.key, describe(&error)))?;
        let mut authorities = RootCertStore::empty();
        for certificate in certificates("CLUSTER_TLS_CA", &files.authorities)? {
            authorities
                .add(certificate)
                .map_err(|error| problem("CLUSTER_TLS_CA", &files.authorities, error.to_string()))?;
        }
        let authorities = Arc::new(authorities);
        let of_authorities = |error: String| problem("CLUSTER_TLS_CA", &files.authorities, error);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&authorities), provider())
            .build()
            .map_err(|error| of_authorities(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider knows the protocols")
            .with_client_cert_verifier(Arc::new(Peers { hosts: hosts.to_vec(), verifier }))
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| problem("CLUSTER_TLS_KEY", &files.key, format!("with CLUSTER_TLS_CERT: {error}")))?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        // Certificates are looked at anew with each connection.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { chain, key, authorities, server: Arc::new(server) })
    }

    fn examine(&self, names: &[ServerName<'static>]) -> Result<(), String> {
        let (own, between) = self.chain.split_first().expect("a file without certificates is not loaded");
        let (now, authorities) = (UnixTime::now(), &self.authorities);
        let client = WebPkiClientVerifier::builder_with_provider(Arc::clone(authorities), provider()).build();
        let verified = client.map_err(|error| error.to_string())?.verify_client_cert(own, between, now);
        verified.map_err(|error| format!("as that of who connects, {}", flaw(&error)))?;
        let server = WebPkiServerVerifier::builder_with_provider(Arc::clone(authorities), provider()).build();
        let verifier = server.map_err(|error| error.to_string())?;
        let Some(any) = names.first() else { return Ok(()) };
        match (OneOf { names: names.to_vec(), verifier }).verify_server_cert(own, between, any, &[], now) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("as that of who is connected to, {}", flaw(&error))),
        }
    }

    fn client(&self, names: Vec<ServerName<'static>>) -> Result<ClientConfig, Error> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.authorities), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OneOf { names, verifier }))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(variable: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let problem = |problem: String| TlsError { variable, path: path.to_owned(), problem };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| problem(describe(&error)))?;
    if read.is_empty() { Err(problem("there is no certificate in this file".to_owned())) } else { Ok(read) }
}

fn describe(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => "there is nothing of this kind in this file (PEM)".to_owned(),
        error => format!("{error:?}"),
    }
}

/// Lets those connect whose certificates are of the authorities and valid for one of the hosts.
#[derive(Debug)]
struct Peers {
    hosts: Vec<ServerName<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Peers {
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(certificate, intermediates, now)?;
        let parsed = ParsedCertificate::try_from(certificate)?;
        let mut problem = Error::InvalidCertificate(CertificateError::NotValidForName);
        for host in &self.hosts {
            match verify_server_name(&parsed, host) {
                Ok(()) => return Ok(verified),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Believes certificates of the authorities that are valid for one of several names.
#[derive(Debug)]
struct OneOf {
    names: Vec<ServerName<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OneOf {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut problem = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in &self.names {
            match self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                Ok(verified) => return Ok(verified),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
