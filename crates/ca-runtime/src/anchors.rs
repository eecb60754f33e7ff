//! Other roots beside those on record, and cross-certificates between them, from files.

use std::path::Path;

use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_engine::error::FlowError;
use ca_engine::flow::anchors::{CrossCertificate, add_anchor, add_cross_certificate};

use crate::external_root::{ExternalRootError, read_certificates};
use crate::open::Runtime;

impl Runtime {
    /// Takes the one root in `file`, PEM or DER, on record beside those that are there; `fingerprints` are the SHA-256 fingerprints of
    /// the roots that are to be trusted, as their holders tell them on another way.
    pub async fn import_root(&self, file: &Path, fingerprints: &[[u8; 32]]) -> Result<AuthorityId, ExternalRootError> {
        let root = only_certificate(file)?;
        if !fingerprints.contains(&root.fingerprint_sha256()) {
            return Err(ExternalRootError::NotConfirmed {
                subject: root.subject().to_string(),
                fingerprint: hex::encode(root.fingerprint_sha256()),
            });
        }
        self.alone(async {
            add_anchor(&self.engine, &Principal::LocalOperator, &root).await.map_err(ExternalRootError::from)
        })
        .await
    }

    /// Takes the one cross-certificate in `file` on record. It needs no confirmation: a root on record has signed it.
    pub async fn import_cross_certificate(&self, file: &Path) -> Result<CrossCertificate, ExternalRootError> {
        let cross = only_certificate(file)?;
        let taken: Result<_, FlowError> = add_cross_certificate(&self.engine, &Principal::LocalOperator, &cross).await;
        Ok(taken?)
    }
}

fn only_certificate(file: &Path) -> Result<Certificate, ExternalRootError> {
    let mut certificates = read_certificates(file)?;
    match (certificates.pop(), certificates.is_empty()) {
        (Some(certificate), true) => Ok(certificate),
        _ => Err(ExternalRootError::NotOne { path: file.to_path_buf() }),
    }
}
