//! Carries a plan out. Everything is written into a folder beside the output, which appears under its name when the transcript is
//! signed, or not at all.

mod certificates;
mod lists;
mod record;
mod root;
mod secrets;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca_core::ceremony::{Act, Entry, Kind, RootKey, statement};
use ca_core::certificate::Certificate;
use ca_core::crl::{CrlEntry, PreviousCrl};
use ca_core::hash::sha256;
use ca_core::name::DistinguishedName;
use ca_core::profile::Profile;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::signing::Signable;
use ca_core::template::IssuerFacts;
use ca_core::time::Timestamp;
use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_engine::port::signer::{Signer, signing_by};

use super::issue::fault;
use super::root_key::RootKeeper;
use super::{Ceremony, CeremonyError, SIGNATURE_FILE, STATEMENT_FILE, TRANSCRIPT_FILE};
use crate::file::{self, Access, Existing};
use crate::profiles;
use lists::revoked_entry;
use record::Record;
use secrets::Secrets;

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
    if output.symlink_metadata().is_ok() {
        return Err(CeremonyError::Exists { path: output });
    }
    if staging.symlink_metadata().is_ok() {
        let key = if mode == Mode::Real { key_that_was_made(ceremony) } else { String::new() };
        return Err(CeremonyError::Unfinished { path: staging, key });
    }
    let secrets = Secrets::read(ceremony)?;
    let profiles = profiles::load(None).map_err(CeremonyError::Profiles)?;
    let now = clock.now().floor_to_second();
    let plan = ceremony.plan(now)?;
    let keeper = RootKeeper::new(ceremony, secrets.root.clone())?;
    if ceremony.script.kind == Kind::Establish && mode == Mode::Real {
        keeper.refuse_existing().await?;
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
        keeper,
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

/// What a run of a new root that was cut off may have made outside of its folder, as a sentence goes on.
fn key_that_was_made(ceremony: &Ceremony) -> String {
    match (ceremony.script.kind, &ceremony.script.root.key) {
        (Kind::Establish, RootKey::File { key_file, .. }) => {
            let path = ceremony.base.join(key_file);
            match path.symlink_metadata() {
                Ok(_) => format!(", and the root's key that it wrote, {}", path.display()),
                Err(_) => String::new(),
            }
        }
        (Kind::Establish, RootKey::Token { uri, make: Some(_) }) => {
            format!(", and the key that it made if the token has it, {}", uri.identity())
        }
        _ => String::new(),
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
    keeper: RootKeeper,
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
            Act::MakeRoot | Act::CertifyRoot => self.make_root().await,
            Act::OpenRoot => self.open_root().await,
            Act::SignSubordinate(id) => self.sign_subordinate(id).await,
            Act::Revoke(index) => self.revoke(*index),
            Act::MakeList(period) => self.make_list(period).await,
            Act::MakeResponder(period) => self.make_responder(period).await,
            Act::Destroy(file) => self.destroy(file),
            Act::SignTranscript => self.sign_transcript().await,
        }
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
        let entry = self.key_entry(what, signer);
        self.record.write(&entry)
    }

    fn key_entry(&self, what: &str, signer: &dyn Signer) -> Entry {
        let key = signer.public_key();
        let entry = self.entry("key").with("key_type", key.key_type()).with("of", what);
        entry.with("spki_sha256", hex::encode(key.spki_sha256()))
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

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
