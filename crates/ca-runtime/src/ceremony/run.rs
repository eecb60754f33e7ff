//! Carries a plan out. Everything is written into a folder beside the output, which appears under its name when the transcript is
//! signed, or not at all.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca_core::ceremony::{Act, Entry, Kind, ListPeriod, Transcript, statement};
use ca_core::certificate::Certificate;
use ca_core::crl::{CrlEntry, PreviousCrl};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::policy::CertificateRequest;
use ca_core::profile::Profile;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::signing::Signable;
use ca_core::template::{Endpoints, Issuer, IssuerFacts};
use ca_core::time::Timestamp;
use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_engine::port::signer::{Signer, signing_by};

use super::issue::{self, Order, fault};
use super::seal::seal;
use super::{Ceremony, CeremonyError, ROOT_FILE, SIGNATURE_FILE, STATEMENT_FILE, TRANSCRIPT_FILE};
use crate::config::PassphraseSource;
use crate::encrypted_key;
use crate::file::{self, Access, Existing};
use crate::profiles;
use crate::root_key::RootKeyFile;
use crate::root_password::RootPassword;
use crate::seal::{Passphrase, generate_software_key};

/// Whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Real,
    /// The same acts with a root's key that is made for it and never written, under a name that says so; into a folder of its own. What
    /// earlier ceremonies left is not touched.
    Rehearsal,
}

/// What a root's subject ends with in a rehearsal.
const REHEARSAL: &str = "OU=REHEARSAL";

/// Carries a ceremony out; returns its output folder. `tell` is told of each act before it is done.
pub async fn run(
    ceremony: &Ceremony,
    mode: Mode,
    clock: &dyn Clock,
    entropy: &Arc<dyn Entropy>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<PathBuf, CeremonyError> {
    let mut output = ceremony.output();
    if mode == Mode::Rehearsal {
        output = with_suffix(&output, "-rehearsal");
    }
    // 1. Nothing in the way; every secret is read before anything is made.
    let staging = with_suffix(&output, ".unfinished");
    for path in [&output, &staging] {
        if path.symlink_metadata().is_ok() {
            let path = path.clone();
            return Err(if path == staging {
                CeremonyError::Unfinished { path }
            } else {
                CeremonyError::Exists { path }
            });
        }
    }
    let secrets = Secrets::read(ceremony)?;
    let profiles = profiles::load(None).map_err(CeremonyError::Profiles)?;
    let now = clock.now().floor_to_second();
    let plan = ceremony.plan(now)?;
    let key_file = ceremony.base.join(&ceremony.script.root.key_file);
    if ceremony.script.kind == Kind::Establish && mode == Mode::Real && key_file.symlink_metadata().is_ok() {
        return Err(CeremonyError::Exists { path: key_file });
    }
    DirBuilder::new()
        .mode(0o700)
        .create(&staging)
        .map_err(|source| CeremonyError::Io { path: staging.clone(), source })?;
    // 2. The acts.
    let mut run = Run {
        ceremony,
        mode,
        clock,
        entropy,
        now,
        secrets,
        profiles: profiles.into_iter().map(|profile| (profile.name().as_str().to_owned(), profile)).collect(),
        record: Record::begin(staging.join(TRANSCRIPT_FILE))?,
        staging,
        key_file,
        root: None,
        entries: Vec::new(),
        previous_list: ceremony.previous.as_ref().filter(|previous| previous.past.highest_number > 0).map(|previous| {
            PreviousCrl { number: previous.past.highest_number, this_update: Timestamp::from_unix_seconds(0) }
        }),
        authorities: Vec::new(),
    };
    run.begin()?;
    for act in &plan.acts {
        tell(&act.to_string());
        run.act(act).await?;
    }
    // 3. In its place.
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let placed =
        sync_folder(&run.staging).and_then(|()| fs::rename(&run.staging, &output)).and_then(|()| sync_folder(parent));
    placed.map_err(|source| CeremonyError::Io { path: output.clone(), source })?;
    Ok(output)
}

struct Secrets {
    root: Arc<Passphrase>,
    sealed: Option<Passphrase>,
    responders: Passphrase,
}

impl Secrets {
    fn read(ceremony: &Ceremony) -> Result<Self, CeremonyError> {
        let script = &ceremony.script;
        let read = |file: &str| Passphrase::read(&PassphraseSource::File(ceremony.base.join(file)));
        let root = Arc::new(read(&script.root.passphrase_file)?);
        let sealed = script.sealed_passphrase_file.as_deref().map(read).transpose()?;
        let responders = read(&script.responder_passphrase_file)?;
        let same = |what, other| Err(CeremonyError::SamePassphrase { what, other });
        if responders.as_bytes() == root.as_bytes() {
            return same("the responders' keys", "the root's key");
        }
        match &sealed {
            Some(sealed) if sealed.as_bytes() == root.as_bytes() => same("what is sealed", "the root's key"),
            Some(sealed) if sealed.as_bytes() == responders.as_bytes() => {
                same("what is sealed", "the responders' keys")
            }
            _ => Ok(Self { root, sealed, responders }),
        }
    }
}

struct Root {
    certificate: Certificate,
    facts: IssuerFacts,
    signer: Arc<dyn Signer>,
}

struct Run<'a> {
    ceremony: &'a Ceremony,
    mode: Mode,
    clock: &'a dyn Clock,
    entropy: &'a Arc<dyn Entropy>,
    /// When it began: what everything is dated by.
    now: Timestamp,
    secrets: Secrets,
    profiles: BTreeMap<String, Profile>,
    record: Record,
    staging: PathBuf,
    key_file: PathBuf,
    root: Option<Root>,
    entries: Vec<CrlEntry>,
    previous_list: Option<PreviousCrl>,
    authorities: Vec<Certificate>,
}

impl Run<'_> {
    fn begin(&mut self) -> Result<(), CeremonyError> {
        let script = &self.ceremony.script;
        let kind = match script.kind {
            Kind::Establish => "establish",
            Kind::Continue => "continue",
        };
        let begin = self
            .entry("begin")
            .with("fingerprint", self.ceremony.fingerprint())
            .with("kind", kind)
            .with("operators", script.operators.join(", "))
            .with("program", concat!("ca-cli ", env!("CARGO_PKG_VERSION")))
            .with("rehearsal", self.mode == Mode::Rehearsal)
            .with("title", &script.title);
        self.record.write(&begin)?;
        for (name, digest) in &self.ceremony.inputs {
            let input = self.entry("input").with("file", name).with("sha256", hex::encode(digest));
            self.record.write(&input)?;
        }
        // What was revoked stays on every list.
        let earlier = self.ceremony.previous.iter().flat_map(|previous| &previous.past.revoked);
        for revoked in earlier {
            let revocation =
                Revocation { revoked_at: revoked.revoked_at, reason: revoked.reason, invalidity_date: None };
            let entry = revoked_entry(self.entry("revoked"), &revoked.serial, &revocation);
            self.record.write(&entry)?;
            self.entries.push(CrlEntry::new(revoked.serial.clone(), &revocation));
        }
        Ok(())
    }

    async fn act(&mut self, act: &Act) -> Result<(), CeremonyError> {
        match act {
            Act::MakeRoot => self.make_root().await,
            Act::OpenRoot => self.open_root().await,
            Act::SignSubordinate(id) => self.sign_subordinate(id).await,
            Act::Revoke(index) => self.revoke(*index),
            Act::MakeList(period) => self.make_list(period).await,
            Act::MakeResponder(period) => self.make_responder(period).await,
            Act::Destroy(file) => self.destroy(file),
            Act::SignTranscript => self.sign_transcript().await,
        }
    }

    async fn make_root(&mut self) -> Result<(), CeremonyError> {
        let script = &self.ceremony.script.root;
        let (key, signer) = generate_software_key(script.key_type).await?;
        let signer = signing_by(Arc::new(signer), script.signature)?;
        self.note_key("root", &*signer)?;
        if self.mode == Mode::Real {
            let pem = encrypted_key::encrypt(key.as_der(), &self.secrets.root, &**self.entropy)?;
            file::write(&self.key_file, pem.as_bytes(), Access::Private, Existing::Keep).map_err(
                |source| match source.kind() {
                    io::ErrorKind::AlreadyExists => CeremonyError::Exists { path: self.key_file.clone() },
                    _ => CeremonyError::Io { path: self.key_file.clone(), source },
                },
            )?;
            // What cannot be opened again is no key.
            RootKeyFile::new(self.key_file.clone(), RootPassword::Passphrase(Arc::clone(&self.secrets.root)))
                .open(signer.public_key())
                .await?;
            let written = self.entry("key-written").with("sha256", hex::encode(sha256(pem.as_bytes())));
            self.record.write(&written)?;
        }
        let subject = script.subject.clone().unwrap_or_else(DistinguishedName::empty);
        let subject = self.subject(&subject)?;
        self.certify_root(&subject, signer).await
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
    async fn open_root(&mut self) -> Result<(), CeremonyError> {
        let Some(previous) = &self.ceremony.previous else { return Err(fault("the root", "it is not known")) };
        let key = RootKeyFile::new(self.key_file.clone(), RootPassword::Passphrase(Arc::clone(&self.secrets.root)));
        // A root signs by what its own certificate is signed by.
        let algorithm = previous.root.signature_algorithm();
        let signer = signing_by(key.open(previous.root.public_key()).await?, algorithm)?;
        match self.mode {
            Mode::Real => {
                self.note_key("root", &*signer)?;
                self.take_root(previous.root.clone(), signer)
            }
            Mode::Rehearsal => {
                let (_, signer) = generate_software_key(previous.root.public_key().key_type()).await?;
                let signer = signing_by(Arc::new(signer), algorithm)?;
                self.note_key("root", &*signer)?;
                let subject = self.subject(previous.root.subject())?;
                self.certify_root(&subject, signer).await
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

    async fn sign_subordinate(&mut self, id: &AuthorityId) -> Result<(), CeremonyError> {
        let script = self.ceremony.script.subordinates.iter().find(|subordinate| subordinate.id == *id);
        let (Some(script), Some(csr)) = (script, self.ceremony.requests.get(id)) else {
            return Err(fault(id.as_str(), "there is no request of it"));
        };
        let profile = self.profile("subordinate")?;
        let base = self.ceremony.script.base_url.as_deref();
        let endpoints = Endpoints {
            crl: base.map(|base| format!("{base}/crl/root.crl")),
            ocsp: base.map(|base| format!("{base}/ocsp")),
            ca_issuers: base.map(|base| format!("{base}/ca/root.crt")),
        };
        let request = CertificateRequest {
            public_key: csr.public_key(),
            csr: Some(csr),
            subject: Some(csr.subject()),
            names: None,
            validity: Some(script.validity),
            constraints: Some(&script.constraints),
        };
        let what = format!("the certificate of `{id}`");
        let certificate = self.certify_below(&what, &profile, request, &endpoints, self.now).await?;
        let file = format!("{id}.crt");
        self.put(&file, certificate.to_pem().as_bytes(), Access::Public, "authority-certificate", |entry| {
            entry
                .with("fingerprint_sha256", hex::encode(certificate.fingerprint_sha256()))
                .with("not_after", certificate.validity().not_after)
                .with("serial", certificate.serial())
                .with("subject", certificate.subject())
        })?;
        self.authorities.push(certificate);
        Ok(())
    }

    fn revoke(&mut self, index: usize) -> Result<(), CeremonyError> {
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

    async fn make_list(&mut self, period: &ListPeriod) -> Result<(), CeremonyError> {
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

    async fn make_responder(&mut self, period: &ListPeriod) -> Result<(), CeremonyError> {
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
    fn destroy(&mut self, file: &str) -> Result<(), CeremonyError> {
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

    async fn sign_transcript(&mut self) -> Result<(), CeremonyError> {
        let root = self.root.as_ref().ok_or_else(|| fault("the transcript", "the root is not open"))?;
        if !self.authorities.is_empty() {
            let chain: String = self.authorities.iter().chain([&root.certificate]).map(Certificate::to_pem).collect();
            self.put("chain.pem", chain.as_bytes(), Access::Public, "chain", |entry| entry)?;
        }
        let end = self.entry("end").with("began", self.now);
        self.record.write(&end)?;
        let text = super::read_text(&self.record.path)?;
        let statement = statement(&text);
        let root = self.root.as_ref().ok_or_else(|| fault("the transcript", "the root is not open"))?;
        // Whoever verifies it has the key and no AlgorithmIdentifier: it is always by what keys of its type sign with.
        let own = root.signer.public_key().key_type().signature_algorithm();
        let signature = signing_by(Arc::clone(&root.signer), own)?.sign(&statement).await?;
        statement
            .message()
            .verify(&root.facts.public_key, &signature)
            .map_err(|error| fault("the signature of the transcript", error))?;
        for (name, octets) in [(STATEMENT_FILE, statement.as_str().as_bytes()), (SIGNATURE_FILE, &signature.octets)] {
            let path = self.staging.join(name);
            file::write(&path, octets, Access::Public, Existing::Keep)
                .map_err(|source| CeremonyError::Io { path, source })?;
        }
        Ok(())
    }

    async fn certify_below(
        &mut self,
        what: &str,
        profile: &Profile,
        request: CertificateRequest<'_>,
        endpoints: &Endpoints,
        at: Timestamp,
    ) -> Result<Certificate, CeremonyError> {
        let serial = self.serial()?;
        let root = self.root.as_ref().ok_or_else(|| fault(what, "the root is not open"))?;
        let (facts, signer) = (root.facts.clone(), Arc::clone(&root.signer));
        let issuer = Issuer::Authority(&facts);
        self.certify(Order { what, profile, request, issuer, endpoints, serial, at }, &*signer).await
    }

    /// On record before the key is used.
    async fn certify(&mut self, order: Order<'_>, signer: &dyn Signer) -> Result<Certificate, CeremonyError> {
        let (what, issuer) = (order.what, order.issuer);
        let prepared = issue::prepare(order)?;
        let intent = self.entry("intent").with("to_be_signed_sha256", hex::encode(prepared.linted.sha256()));
        self.record.write(&intent.with("what", what))?;
        issue::sign(what, prepared, issuer, signer).await
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

    fn put(
        &mut self,
        name: &str,
        octets: &[u8],
        access: Access,
        kind: &str,
        more: impl FnOnce(Entry) -> Entry,
    ) -> Result<(), CeremonyError> {
        let path = self.staging.join(name);
        file::write(&path, octets, access, Existing::Keep).map_err(|source| CeremonyError::Io { path, source })?;
        let entry =
            self.entry("file").with("file", name).with("kind", kind).with("sha256", hex::encode(sha256(octets)));
        self.record.write(&more(entry))
    }

    fn note_key(&mut self, what: &str, signer: &dyn Signer) -> Result<(), CeremonyError> {
        let key = signer.public_key();
        let entry = self.entry("key").with("key_type", key.key_type()).with("of", what);
        self.record.write(&entry.with("spki_sha256", hex::encode(key.spki_sha256())))
    }

    fn entry(&self, act: &str) -> Entry {
        Entry::new(self.clock.now().floor_to_second(), act)
    }

    fn serial(&self) -> Result<Serial, CeremonyError> {
        let mut octets = [0; 16];
        self.entropy.fill(&mut octets)?;
        Ok(Serial::from_random(octets))
    }

    fn profile(&self, name: &str) -> Result<Profile, CeremonyError> {
        self.profiles.get(name).cloned().ok_or_else(|| fault(name, "there is no such profile"))
    }

    /// The subject, or one that nobody takes for it.
    fn subject(&self, subject: &DistinguishedName) -> Result<DistinguishedName, CeremonyError> {
        match self.mode {
            Mode::Real => Ok(subject.clone()),
            Mode::Rehearsal => {
                let text = format!("{REHEARSAL},{}", subject.to_exact_rfc4514());
                DistinguishedName::from_rfc4514(&text).map_err(|error| fault("the subject of the rehearsal", error))
            }
        }
    }
}

fn revoked_entry(entry: Entry, serial: &Serial, revocation: &Revocation) -> Entry {
    entry.with("reason", revocation.reason).with("revoked_at", revocation.revoked_at).with("serial", serial)
}

/// The transcript while it is written: each line is on the disk before what it announces is done.
struct Record {
    path: PathBuf,
    file: File,
    transcript: Transcript,
}

impl Record {
    fn begin(path: PathBuf) -> Result<Self, CeremonyError> {
        let opened = OpenOptions::new().append(true).create_new(true).mode(0o644).open(&path);
        let file = opened.map_err(|source| CeremonyError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, transcript: Transcript::default() })
    }

    fn write(&mut self, entry: &Entry) -> Result<(), CeremonyError> {
        let line = self.transcript.append(entry);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|source| CeremonyError::Io { path: self.path.clone(), source })
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
