//! Certificates and keys of the control plane.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// Names by which the API server is called.
const NAMES: [&str; 4] = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];

/// Writes `ca.crt`, the API server's `api.crt` and `api.key`, and the pair that signs tokens of service accounts, `sa.key`
/// and `sa.pub`, to `directory`.
pub fn write(directory: &Path, addresses: &[Ipv4Addr]) -> Result<()> {
    let put = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "local cluster");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    put("ca.crt", &authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(IpAddr::V4(*ip))));
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    put("api.crt", &server.signed_by(&key, &issuer)?.pem())?;
    put("api.key", &key.serialize_pem())?;

    let signer = KeyPair::generate()?;
    put("sa.key", &signer.serialize_pem())?;
    put("sa.pub", &signer.public_key_pem())
}
