//! TLS for the services of the tests: a certificate authority of its own for each, valid for `localhost`, 127.0.0.1 and ::1.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Writes an authority's certificate, and a certificate signed by it with its key, into a folder.
pub fn write_into(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate().expect("a key can be made");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority can be made");

    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let service = CertificateParams::new(names).expect("the names are valid");
    let key = KeyPair::generate().expect("a key can be made");
    let certificate = service.signed_by(&key, &authority).expect("the authority signs");

    fs::write(ca_file(folder), authority.pem()).unwrap();
    fs::write(certificate_file(folder), certificate.pem()).unwrap();
    fs::write(key_file(folder), key.serialize_pem()).unwrap();
    // PostgreSQL refuses a key that others may read.
    fs::set_permissions(key_file(folder), fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn ca_file(folder: &Path) -> PathBuf {
    folder.join("authority.pem")
}

pub fn certificate_file(folder: &Path) -> PathBuf {
    folder.join("certificate.pem")
}

pub fn key_file(folder: &Path) -> PathBuf {
    folder.join("key.pem")
}
