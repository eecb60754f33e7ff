//! The flags of `revoke` that reach many certificates at once.

use std::path::PathBuf;

use ca_core::id::BulkRevocationId;
use ca_engine::flow::bulk_revoke::BulkFilter;
use ca_engine::port::store::NameQuery;
use clap::Args;

use super::value::Instant;

/// `revoke --filter …`, `revoke --from-file …`, and what is asked about such a revocation later.
#[derive(Debug, Args)]
pub(crate) struct BulkRevocationArgs {
    /// Revoke all that fit, as in profile=client,issued-before=2026-11-01T00:00:00Z; may be given several times. Keys: profile,
    /// authority, owner, name, subject, public-key-sha256, issued-after, issued-before, expires-before
    #[arg(long, value_name = "KEY=VALUE[,…]", value_parser = read_members)]
    pub(crate) filter: Vec<Members>,

    /// Revoke those that the lines of this file name: an id, AUTHORITY:SERIAL or a serial number each; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "filter")]
    pub(crate) from_file: Option<PathBuf>,

    /// Only count what would be revoked
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask; the number must be given with --expect
    #[arg(long, requires = "expect", conflicts_with = "dry_run")]
    pub(crate) yes: bool,

    /// Revoke nothing unless exactly so many fit
    #[arg(long, value_name = "COUNT")]
    pub(crate) expect: Option<u64>,

    /// Show how far a bulk revocation has come
    #[arg(long, value_name = "ID")]
    pub(crate) status: Option<BulkRevocationId>,

    /// Watch a bulk revocation until it has ended; with --local, go on with it
    #[arg(long, value_name = "ID")]
    pub(crate) resume: Option<BulkRevocationId>,

    /// End a bulk revocation: what it has not revoked yet stands
    #[arg(long, value_name = "ID")]
    pub(crate) cancel: Option<BulkRevocationId>,
}

/// Members of a filter, each a key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members(Vec<(&'static str, String)>);

/// What a member of a filter may be called.
const KEYS: [&str; 9] = [
    "profile",
    "authority",
    "owner",
    "name",
    "subject",
    "public-key-sha256",
    "issued-after",
    "issued-before",
    "expires-before",
];

/// Reads `KEY=VALUE,…`. A comma begins the next member only where one of the keys follows: subjects have commas too.
fn read_members(text: &str) -> Result<Members, String> {
    let mut members: Vec<(&'static str, String)> = Vec::new();
    for piece in text.split(',') {
        let named = piece.split_once('=').and_then(|(key, value)| {
            let key = KEYS.iter().find(|known| **known == key.trim())?;
            Some((*key, value.to_owned()))
        });
        match (named, members.last_mut()) {
            (Some(member), _) => members.push(member),
            // A part of the value before, which may be a distinguished name.
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(piece);
            }
            (None, None) => return Err(format!("`{piece}` is no KEY=VALUE; keys are {}", KEYS.join(", "))),
        }
    }
    match members.iter().find(|(_, value)| value.trim().is_empty()) {
        Some((key, _)) => Err(format!("`{key}` has no value")),
        None => Ok(Members(members)),
    }
}

impl BulkRevocationArgs {
    /// The filter of all `--filter`; times that are lengths count from `now`, those of `issued-…` into the past.
    pub(crate) fn read_filter(&self, now: ca_core::time::Timestamp) -> Result<BulkFilter, String> {
        let mut filter = BulkFilter::default();
        let mut seen = Vec::new();
        for (key, value) in self.filter.iter().flat_map(|members| &members.0) {
            if seen.contains(key) {
                return Err(format!("`{key}` is given twice"));
            }
            seen.push(*key);
            let told = |error: &dyn std::fmt::Display| format!("{key}: {error}");
            let instant = |past: bool| match value.parse::<Instant>()? {
                Instant::At(at) => Ok::<_, String>(at),
                Instant::Away(lifetime) if past => Ok(now.minus(lifetime)),
                Instant::Away(lifetime) => Ok(now.plus(lifetime)),
            };
            match *key {
                "profile" => filter.profile = Some(value.parse().map_err(|error| told(&error))?),
                "authority" => filter.authority = Some(value.parse().map_err(|error| told(&error))?),
                "owner" => filter.owner = Some(value.clone()),
                "issued-after" => filter.issued_after = Some(instant(true)?),
                "issued-before" => filter.issued_before = Some(instant(true)?),
                "expires-before" => filter.expires_before = Some(instant(false)?),
                "public-key-sha256" => {
                    let mut digest = [0; 32];
                    hex::decode_to_slice(value, &mut digest).map_err(|_| format!("{key}: 64 hexadecimal digits"))?;
                    filter.spki_sha256 = Some(digest);
                }
                _ if filter.name.is_some() => return Err("filter by one of `name` and `subject`".to_owned()),
                "name" => filter.name = Some(NameQuery::AnyName(value.clone())),
                _ => filter.name = Some(NameQuery::Subject(value.clone())),
            }
        }
        Ok(filter)
    }

    /// Whether many certificates are meant, and not one.
    pub(crate) fn is_given(&self) -> bool {
        !self.filter.is_empty()
            || self.from_file.is_some()
            || self.status.is_some()
            || self.resume.is_some()
            || self.cancel.is_some()
    }
}

#[cfg(test)]
mod tests {
    use ca_core::time::Timestamp;

    use super::*;

    fn filter(texts: &[&str]) -> Result<BulkFilter, String> {
        let members = texts.iter().map(|text| read_members(text)).collect::<Result<_, _>>()?;
        let args = BulkRevocationArgs {
            filter: members,
            from_file: None,
            dry_run: false,
            yes: false,
            expect: None,
            status: None,
            resume: None,
            cancel: None,
        };
        args.read_filter(Timestamp::from_unix_seconds(1_795_176_000))
    }

    #[test]
    fn members_of_one_filter_or_of_several_add_up() {
        let read = filter(&["profile=client,issued-before=2026-11-01T00:00:00Z", "authority=tls"]).expect("read");
        assert_eq!(read.to_string(), "profile=client,authority=tls,issued-before=2026-11-01T00:00:00Z");
        let read = filter(&["issued-after=24h,expires-before=24h"]).expect("read");
        assert_eq!(read.to_string(), "issued-after=2026-11-19T12:00:00Z,expires-before=2026-11-21T12:00:00Z");
    }

    #[test]
    fn a_subject_keeps_its_commas() {
        let read = filter(&["subject=CN=Ana Souza,O=Example,profile=document"]).expect("read");
        assert_eq!(read.name, Some(NameQuery::Subject("CN=Ana Souza,O=Example".to_owned())));
        assert!(read.profile.is_some());
    }

    #[test]
    fn what_is_no_filter_is_told_with_what_would_be_one() {
        for (texts, said) in [
            (&["fliter"][..], "keys are profile"),
            (&["cpf=1"], "keys are profile"),
            (&["profile="], "no value"),
            (&["profile=a", "profile=b"], "twice"),
            (&["name=a,subject=CN=a"], "one of"),
            (&["issued-after=yesterday"], "2026-11-20T12:00:00Z"),
            (&["public-key-sha256=ab"], "64"),
            (&["authority=TLS"], "not a name"),
        ] {
            let error = filter(texts).expect_err("no filter");
            assert!(error.contains(said), "{texts:?}: {error}");
        }
    }
}
