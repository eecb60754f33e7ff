//! The root of a ceremony: its key is made or brought, and its certificate made or held against it.

use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::name::DistinguishedName;
use ca_core::policy::CertificateRequest;
use ca_core::template::{Endpoints, Issuer, IssuerFacts};
use ca_engine::port::signer::{Signer, check_fits, signing_by};

use super::super::issue::{Order, fault};
use super::super::root_key::Kept;
use super::super::{CeremonyError, ROOT_FILE};
use super::{Mode, Root, Run};
use crate::file::Access;
use crate::seal::generate_software_key;

impl Run<'_> {
    /// In a rehearsal whoever holds the real key is asked for what can be asked without making it; what signs is another one.
    pub(super) async fn make_root(&mut self) -> Result<(), CeremonyError> {
        let subject = self.ceremony.script.root.subject.clone().unwrap_or_else(DistinguishedName::empty);
        let subject = self.subject(&subject)?;
        if self.mode == Mode::Rehearsal {
            let kind = self.keeper.kind().await?;
            return self.stand_in(kind, self.algorithm_of_new(kind), &subject).await;
        }
        if let Some(home) = self.keeper.home() {
            let intent = self.entry("intent").with("what", format!("the root's key in {home}"));
            self.record.write(&intent)?;
        }
        let key = self.keeper.make().await?;
        let algorithm = self.algorithm_of_new(key.signer.public_key().key_type());
        check_fits(algorithm, key.signer.public_key())?;
        self.note_roots_key(&*key.signer)?;
        match self.keeper.keep(&key, &**self.entropy).await? {
            Kept::Written(digest) => {
                let written = self.entry("key-written").with("sha256", hex::encode(digest));
                self.record.write(&written)?;
            }
            Kept::Made => {
                let made = self.entry("key-made").with("held", self.keeper.home().unwrap_or_default());
                self.record.write(&made)?;
            }
            Kept::There => {}
        }
        let signer = signing_by(Arc::clone(&key.signer), algorithm)?;
        self.certify_root(&subject, signer).await
    }

    /// By what a new root signs.
    fn algorithm_of_new(&self, kind: KeyType) -> SignatureAlgorithm {
        self.ceremony.script.root.signature.unwrap_or(kind.signature_algorithm())
    }

    /// A key that is thrown away stands in for the root's.
    async fn stand_in(
        &mut self,
        kind: KeyType,
        algorithm: SignatureAlgorithm,
        subject: &DistinguishedName,
    ) -> Result<(), CeremonyError> {
        let (_, signer) = generate_software_key(kind).await?;
        self.note_key("root", &signer)?;
        let signer = signing_by(Arc::new(signer), algorithm)?;
        self.certify_root(subject, signer).await
    }

    fn note_roots_key(&mut self, signer: &dyn Signer) -> Result<(), CeremonyError> {
        let entry = self.key_entry("root", signer);
        let entry = match self.keeper.home() {
            Some(home) => entry.with("held", home),
            None => entry,
        };
        self.record.write(&entry)
    }

    async fn certify_root(
        &mut self,
        subject: &DistinguishedName,
        signer: Arc<dyn Signer>,
    ) -> Result<(), CeremonyError> {
        let profile = self.profile("root")?;
        let validity = match &self.ceremony.previous {
            Some(previous) => previous.root.validity().not_after.since(self.now),
            None => self.ceremony.script.root.validity,
        };
        let request = CertificateRequest {
            public_key: signer.public_key(),
            csr: None,
            subject: Some(subject),
            names: None,
            validity: Some(validity),
            constraints: None,
        };
        let order = Order {
            what: "the root's certificate",
            profile: &profile,
            request,
            issuer: Issuer::Itself(signer.algorithm()),
            endpoints: &Endpoints::default(),
            serial: self.serial()?,
            at: self.now,
        };
        let certificate = self.certify(order, &*signer).await?;
        self.take_root(certificate, signer)
    }

    /// In a rehearsal the root's key is opened too, to prove that it can be; what signs is another one.
    pub(super) async fn open_root(&mut self) -> Result<(), CeremonyError> {
        let Some(previous) = &self.ceremony.previous else { return Err(fault("the root", "it is not known")) };
        // A root signs by what its own certificate is signed by.
        let algorithm = previous.root.signature_algorithm();
        let signer = signing_by(self.keeper.open(previous.root.public_key()).await?, algorithm)?;
        match self.mode {
            Mode::Real => {
                self.note_roots_key(&*signer)?;
                self.take_root(previous.root.clone(), signer)
            }
            Mode::Rehearsal => {
                let subject = self.subject(previous.root.subject())?;
                self.stand_in(previous.root.public_key().key_type(), algorithm, &subject).await
            }
        }
    }

    fn take_root(&mut self, certificate: Certificate, signer: Arc<dyn Signer>) -> Result<(), CeremonyError> {
        let facts = IssuerFacts::from_certificate(&certificate).map_err(|error| fault("the root", error))?;
        let facts = facts.signing_by(signer.algorithm());
        self.put(ROOT_FILE, certificate.to_pem().as_bytes(), Access::Public, "root-certificate", |entry| {
            entry
                .with("fingerprint_sha256", hex::encode(certificate.fingerprint_sha256()))
                .with("subject", certificate.subject())
                .with("not_after", certificate.validity().not_after)
        })?;
        self.root = Some(Root { certificate, facts, signer });
        Ok(())
    }
}
