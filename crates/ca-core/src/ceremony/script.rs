//! The script of a ceremony: TOML that people review before it is run. Every fault is told at once where its shape is right.

use serde::Deserialize;
use thiserror::Error;

use crate::id::AuthorityId;
use crate::key::{KeyType, SignatureAlgorithm};
use crate::name::{DistinguishedName, NameConstraints, Subtree};
use crate::policy::AuthorityConstraints;
use crate::revocation::RevocationReason;
use crate::time::Lifetime;
use crate::usage::ExtendedKeyUsage;

/// What kind of ceremony it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A new root.
    Establish,
    /// A root of an earlier ceremony signs again: further authorities, lists and responders; an emergency list.
    Continue,
}

/// A script that can be planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// What it is called, in the transcript.
    pub title: String,
    /// What kind of ceremony it is.
    pub kind: Kind,
    /// Who carries it out, by name.
    pub operators: Vec<String>,
    /// The folder that the output goes to, relative to the script's; it must not be there.
    pub output: String,
    /// For how many years lists and responders are made; 1 to 20.
    pub years: u32,
    /// Start of the URLs in certificates below the root, without a slash at the end; absent: they carry none.
    pub base_url: Option<String>,
    /// The root.
    pub root: RootScript,
    /// File whose first line seals lists and responders of later years; needed when there are any.
    pub sealed_passphrase_file: Option<String>,
    /// File whose first line encrypts the responders' keys.
    pub responder_passphrase_file: String,
    /// Authorities whose requests are signed.
    pub subordinates: Vec<Subordinate>,
    /// Certificates that are revoked.
    pub revocations: Vec<Revocation>,
}

/// What a script says of the root.
#[derive(Clone, Debug, PartialEq)]
pub struct RootScript {
    /// Its subject; of a root that is there, what its certificate says.
    pub subject: Option<DistinguishedName>,
    /// The kind of its key, when it is made.
    pub key_type: KeyType,
    /// By what it signs, when it is made; one that is there signs by what its own certificate is signed by.
    pub signature: SignatureAlgorithm,
    /// How long it lives, when it is made.
    pub validity: Lifetime,
    /// Its key's file: encrypted PKCS#8. Written when it is made, and must not be there.
    pub key_file: String,
    /// File whose first line is the key's passphrase.
    pub passphrase_file: String,
    /// The output folder of the ceremony before this one.
    pub previous: Option<String>,
}

/// An authority whose request is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Subordinate {
    /// Its id: the name of its files.
    pub id: AuthorityId,
    /// The file of its request.
    pub csr: String,
    /// How long it lives.
    pub validity: Lifetime,
    /// What it is confined to.
    pub constraints: AuthorityConstraints,
}

/// A certificate of the root's that is revoked.
#[derive(Clone, Debug, PartialEq)]
pub struct Revocation {
    /// The file of the certificate.
    pub certificate: String,
    /// Why.
    pub reason: RevocationReason,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    ceremony: CeremonyTable,
    root: RootTable,
    sealed: Option<PassphraseTable>,
    responders: PassphraseTable,
    #[serde(default)]
    subordinate: Vec<SubordinateTable>,
    #[serde(default)]
    revoke: Vec<RevokeTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CeremonyTable {
    title: String,
    kind: Kind,
    operators: Vec<String>,
    output: String,
    years: u32,
    base_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootTable {
    subject: Option<String>,
    key: Option<String>,
    signature: Option<String>,
    validity: Option<String>,
    key_file: String,
    passphrase_file: String,
    previous: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassphraseTable {
    passphrase_file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubordinateTable {
    id: String,
    csr: String,
    validity: String,
    purposes: Vec<String>,
    #[serde(default)]
    permitted_subtrees: Vec<String>,
    #[serde(default)]
    excluded_subtrees: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeTable {
    certificate: String,
    reason: String,
}

/// Something wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct ScriptFault {
    /// The key, as `root.validity`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Script {
    /// Reads a script.
    pub fn parse(text: &str) -> Result<Self, Vec<ScriptFault>> {
        let document: Document = toml::from_str(text).map_err(|error| {
            vec![ScriptFault { path: "the script".to_owned(), message: error.to_string().trim_end().to_owned() }]
        })?;
        let mut faults = Faults::default();
        let script = read(document, &mut faults);
        if faults.0.is_empty() { Ok(script) } else { Err(faults.0) }
    }
}

#[derive(Default)]
struct Faults(Vec<ScriptFault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, message: impl ToString) {
        self.0.push(ScriptFault { path: path.into(), message: message.to_string() });
    }

    fn take<T, E: ToString>(&mut self, path: &str, read: Result<T, E>, otherwise: T) -> T {
        read.unwrap_or_else(|error| {
            self.add(path, error.to_string());
            otherwise
        })
    }
}

fn read(document: Document, faults: &mut Faults) -> Script {
    let CeremonyTable { title, kind, operators, output, years, base_url } = document.ceremony;
    if operators.len() < 2 || operators.iter().any(|name| name.trim().is_empty()) {
        faults.add("ceremony.operators", "name at least two people: nobody carries out a ceremony alone");
    }
    if !(1..=20).contains(&years) {
        faults.add("ceremony.years", "lists are made for 1 to 20 years");
    }
    if years > 1 && document.sealed.is_none() {
        faults
            .add("sealed.passphrase_file", "missing: lists and responders of later years are sealed with a passphrase");
    }
    if output.trim().is_empty() {
        faults.add("ceremony.output", "empty; name a folder that is not there yet");
    }
    if base_url.as_ref().is_some_and(|url| !url.starts_with("http://") || url.ends_with('/')) {
        faults.add("ceremony.base_url", "relying parties fetch by plain HTTP: `http://…`, without a slash at the end");
    }
    let root = read_root(document.root, kind, faults);
    if kind == Kind::Establish && !document.revoke.is_empty() {
        faults.add("revoke", "a new root has nothing to revoke; `kind = \"continue\"` goes on with one that is there");
    }
    let subordinates = document
        .subordinate
        .into_iter()
        .enumerate()
        .filter_map(|(index, table)| read_subordinate(table, &format!("subordinate[{index}]"), faults));
    let subordinates: Vec<Subordinate> = subordinates.collect();
    for (index, subordinate) in subordinates.iter().enumerate() {
        if subordinate.id.as_str() == "root" || subordinates[..index].iter().any(|other| other.id == subordinate.id) {
            faults.add(
                format!("subordinate[{index}].id"),
                "each authority needs an id of its own, and `root` is the root's",
            );
        }
    }
    let mut revocations = Vec::new();
    for (index, table) in document.revoke.into_iter().enumerate() {
        match table.reason.parse() {
            Ok(RevocationReason::CertificateHold) => {
                faults.add(
                    format!("revoke[{index}].reason"),
                    "a hold would last until the next ceremony; revoke for good",
                );
            }
            Ok(reason) => revocations.push(Revocation { certificate: table.certificate, reason }),
            Err(error) => faults.add(format!("revoke[{index}].reason"), error),
        }
    }
    Script {
        title,
        kind,
        operators,
        output,
        years,
        base_url,
        root,
        sealed_passphrase_file: document.sealed.map(|sealed| sealed.passphrase_file),
        responder_passphrase_file: document.responders.passphrase_file,
        subordinates,
        revocations,
    }
}

fn read_root(table: RootTable, kind: Kind, faults: &mut Faults) -> RootScript {
    let given =
        [("subject", table.subject.is_some()), ("key", table.key.is_some()), ("validity", table.validity.is_some())];
    for (key, is_given) in given {
        match kind {
            Kind::Establish if !is_given => faults.add(format!("root.{key}"), "missing: a new root needs it"),
            Kind::Continue if is_given => {
                faults.add(format!("root.{key}"), "the root is there already and has its own");
            }
            _ => {}
        }
    }
    match (kind, &table.previous) {
        (Kind::Continue, None) => {
            faults.add("root.previous", "missing: name the output folder of the ceremony before this one");
        }
        (Kind::Establish, Some(_)) => faults.add("root.previous", "a new root has no ceremony before it"),
        _ => {}
    }
    let key = table.key.as_deref().unwrap_or("software:p384");
    let key_type = match key.strip_prefix("software:") {
        Some(kind) => faults.take("root.key", kind.parse(), KeyType::P384),
        None => {
            faults.add("root.key", "say `software:TYPE`, as `software:rsa4096` or `software:p384`");
            KeyType::P384
        }
    };
    let signature = read_signature(table.signature.as_deref(), kind, key_type, faults);
    let subject = table
        .subject
        .map(|text| faults.take("root.subject", DistinguishedName::from_rfc4514(&text), DistinguishedName::empty()));
    let validity = table.validity.as_deref().unwrap_or("1d").parse();
    RootScript {
        subject,
        key_type,
        signature,
        validity: faults.take("root.validity", validity, Lifetime::ZERO),
        key_file: table.key_file,
        passphrase_file: table.passphrase_file,
        previous: table.previous,
    }
}

fn read_signature(name: Option<&str>, kind: Kind, key_type: KeyType, faults: &mut Faults) -> SignatureAlgorithm {
    let own = key_type.signature_algorithm();
    let Some(name) = name else { return own };
    if kind == Kind::Continue {
        faults.add("root.signature", "the root is there already and has its own");
        return own;
    }
    let algorithm = faults.take("root.signature", SignatureAlgorithm::of_rsa(name), own);
    if !algorithm.fits(key_type) {
        faults.add("root.signature", format!("{algorithm} is for RSA keys, and the key is {key_type}; leave it out"));
    }
    algorithm
}

fn read_subordinate(table: SubordinateTable, path: &str, faults: &mut Faults) -> Option<Subordinate> {
    if table.purposes.is_empty() {
        faults.add(format!("{path}.purposes"), "empty; name what certificates below it are for, as `serverAuth`");
    }
    let mut purposes = Vec::new();
    for purpose in &table.purposes {
        match purpose.parse::<ExtendedKeyUsage>() {
            Ok(purpose) => purposes.push(purpose),
            Err(error) => faults.add(format!("{path}.purposes"), error),
        }
    }
    let mut subtrees = |key: &str, texts: &[String]| {
        let mut subtrees = Vec::new();
        for text in texts {
            match Subtree::parse(text) {
                Ok(subtree) => subtrees.push(subtree),
                Err(error) => faults.add(format!("{path}.{key}"), error),
            }
        }
        subtrees
    };
    let permitted = subtrees("permitted_subtrees", &table.permitted_subtrees);
    let excluded = subtrees("excluded_subtrees", &table.excluded_subtrees);
    let validity = faults.take(&format!("{path}.validity"), table.validity.parse(), Lifetime::ZERO);
    match table.id.parse() {
        Ok(id) => Some(Subordinate {
            id,
            csr: table.csr,
            validity,
            constraints: AuthorityConstraints {
                extended_key_usage: purposes,
                name_constraints: NameConstraints { permitted, excluded },
            },
        }),
        Err(error) => {
            faults.add(format!("{path}.id"), error);
            None
        }
    }
}
