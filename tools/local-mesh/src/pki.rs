//! A certificate authority for one run, and a certificate with a SPIFFE identity for each service account.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::topology::{Topology, Workload};

/// Base name of the files of a workload's certificate (`.pem`) and key (`.key`).
pub fn file_name(workload: &Workload) -> String {
    format!("{}.{}", workload.namespace, workload.service_account)
}

/// Writes `ca.pem` and a certificate and key per service account to `directory`.
pub fn write(topology: &Topology, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let issuer = authority(topology, directory)?;
    let mut done = HashSet::new();
    for workload in &topology.workloads {
        let name = file_name(workload);
        if done.insert(name.clone()) {
            let (certificate, key) = leaf(&workload.spiffe(&topology.trust_domain), &issuer)
                .with_context(|| format!("cannot make a certificate for {name}"))?;
            put(&directory.join(format!("{name}.pem")), &certificate)?;
            put(&directory.join(format!("{name}.key")), &key)?;
        }
    }
    Ok(())
}

fn authority(topology: &Topology, directory: &Path) -> Result<Issuer<'static, KeyPair>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::OrganizationName, topology.trust_domain.as_str());
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    put(&directory.join("ca.pem"), &certificate.pem())?;
    Ok(Issuer::new(params, key))
}

fn leaf(identity: &str, issuer: &Issuer<'_, KeyPair>) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    // As in Istio: the identity is the only name, and the subject is empty.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.try_into()?)];
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
