//! Lists and responders for the years to come, sealed until their time; what is revoked, and what is destroyed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};

use ca_core::ceremony::{Entry, ListPeriod};
use ca_core::crl::{CrlEntry, PreviousCrl};
use ca_core::hash::sha256;
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::policy::CertificateRequest;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::template::Endpoints;
use ca_engine::port::signer::Signer;

use super::super::CeremonyError;
use super::super::issue::{self, fault};
use super::super::seal::seal;
use super::{Mode, Run};
use crate::encrypted_key;
use crate::file::{self, Access};
use crate::seal::generate_software_key;

impl Run<'_> {
    pub(super) fn revoke(&mut self, index: usize) -> Result<(), CeremonyError> {
        let (Some(certificate), Some(script)) =
            (self.ceremony.revoked.get(index), self.ceremony.script.revocations.get(index))
        else {
            return Err(fault("a revocation", "its certificate was not read"));
        };
        if self.entries.iter().any(|entry| entry.serial == *certificate.serial()) {
            let entry = self.entry("revoked-before").with("serial", certificate.serial());
            return self.record.write(&entry);
        }
        let revocation = Revocation { revoked_at: self.now, reason: script.reason, invalidity_date: None };
        let entry = revoked_entry(self.entry("revoked"), certificate.serial(), &revocation);
        self.record.write(&entry)?;
        self.entries.push(CrlEntry::new(certificate.serial().clone(), &revocation));
        Ok(())
    }

    pub(super) async fn make_list(&mut self, period: &ListPeriod) -> Result<(), CeremonyError> {
        self.entries.sort_by(|one, other| one.serial.cmp(&other.serial));
        let what = format!("list {}", period.number);
        let times = (period.this_update, period.next_update);
        let root = self.root.as_ref().ok_or_else(|| fault(&what, "the root is not open"))?;
        let prepared =
            issue::prepare_list(&what, &root.facts, times, period.number, &self.entries, self.previous_list)?;
        let intent = self.entry("intent").with("to_be_signed_sha256", hex::encode(prepared.linted.sha256()));
        self.record.write(&intent.with("what", &what))?;
        let list = issue::sign_list(&what, prepared, &root.facts, &*root.signer).await?;
        self.previous_list = Some(PreviousCrl { number: period.number, this_update: period.this_update });
        let file = format!("root-{}.crl", period.number);
        let entries = self.entries.len();
        self.put_in_time(period, "list", &[(&file, &list)], |entry| entry.with("entries", entries))
    }

    pub(super) async fn make_responder(&mut self, period: &ListPeriod) -> Result<(), CeremonyError> {
        let what = format!("the responder that goes with list {}", period.number);
        let (key, signer) = generate_software_key(KeyType::P256).await?;
        self.note_key(&what, &signer)?;
        let profile = self.profile("ocsp-responder")?;
        let subject = DistinguishedName::builder()
            .common_name("OCSP responder of root")
            .build()
            .map_err(|error| fault(&what, error))?;
        let request = CertificateRequest {
            public_key: signer.public_key(),
            csr: None,
            subject: Some(&subject),
            names: None,
            validity: Some(period.next_update.since(period.this_update)),
            constraints: None,
        };
        let endpoints = Endpoints::default();
        let certificate = self.certify_below(&what, &profile, request, &endpoints, period.this_update).await?;
        let pem = encrypted_key::encrypt(key.as_der(), &self.secrets.responders, &**self.entropy)?;
        let names = [format!("responder-{}.crt", period.number), format!("responder-{}.key", period.number)];
        let files = [(&*names[0], certificate.to_pem().into_bytes()), (&*names[1], pem.as_bytes().to_vec())];
        let files = files.each_ref().map(|(name, octets)| (*name, octets.as_slice()));
        self.put_in_time(period, "responder", &files, |entry| entry.with("serial", certificate.serial()))
    }

    /// What was never opened is removed; in a rehearsal it is only said.
    pub(super) fn destroy(&mut self, file: &str) -> Result<(), CeremonyError> {
        let Some(previous) = &self.ceremony.previous else { return Ok(()) };
        let path = previous.folder.join(file);
        let entry = self.entry("destroyed").with("file", file);
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.record.write(&entry.with("outcome", "it was not there; destroy it where it is"));
            }
            Err(source) => return Err(CeremonyError::Io { path, source }),
        };
        let entry = entry.with("sha256", hex::encode(sha256(&octets)));
        if self.mode == Mode::Rehearsal {
            return self.record.write(&entry.with("outcome", "left, in a rehearsal"));
        }
        let failed = |source| CeremonyError::Io { path: path.clone(), source };
        // Overwritten in place for disks where that helps; that it is encrypted helps on all.
        let mut there = OpenOptions::new().write(true).open(&path).map_err(failed)?;
        there.write_all(&vec![0; octets.len()]).and_then(|()| there.sync_all()).map_err(failed)?;
        file::remove(&path).map_err(failed)?;
        self.record.write(&entry.with("outcome", "destroyed"))
    }

    /// Writes files as they are, or sealed when their time has not come.
    fn put_in_time(
        &mut self,
        period: &ListPeriod,
        kind: &str,
        files: &[(&str, &[u8])],
        more: impl Fn(Entry) -> Entry,
    ) -> Result<(), CeremonyError> {
        let dated = |entry: Entry| {
            let entry = entry.with("number", period.number).with("begins", period.this_update);
            more(entry.with("ends", period.next_update))
        };
        for (name, octets) in files {
            if !period.is_sealed {
                let access = if name.ends_with(".key") { Access::Private } else { Access::Public };
                self.put(name, octets, access, kind, dated)?;
                continue;
            }
            let sealed_name = format!("{name}.sealed");
            let passphrase =
                self.secrets.sealed.as_ref().ok_or_else(|| fault(&sealed_name, "there is no passphrase to seal it"))?;
            let sealed = seal(octets, passphrase, &**self.entropy)
                .map_err(|source| CeremonyError::Io { path: self.staging.join(&sealed_name), source })?;
            let clear = hex::encode(sha256(octets));
            self.put(&sealed_name, &sealed, Access::Private, kind, |entry| {
                dated(entry.with("opens_to", name).with("opens_to_sha256", &clear))
            })?;
        }
        Ok(())
    }
}

pub(super) fn revoked_entry(entry: Entry, serial: &Serial, revocation: &Revocation) -> Entry {
    entry.with("reason", revocation.reason).with("revoked_at", revocation.revoked_at).with("serial", serial)
}
