//! The script of a ceremony: TOML that people review before it is run. Every fault is told at once where its shape is right.

use serde::Deserialize;

use super::fault::{Faults, ScriptFault};
use super::root::{Kind, RootScript, RootTable, read_root};
use crate::id::AuthorityId;
use crate::name::{NameConstraints, Subtree};
use crate::policy::AuthorityConstraints;
use crate::revocation::RevocationReason;
use crate::time::Lifetime;
use crate::usage::ExtendedKeyUsage;

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
