//! Encrypting what is personal data on its way into a row, and opening it on its way out.
//!
//! A database never sees such a value in clear, not even as a parameter: it is encrypted before it is handed to a transaction, and
//! opened after it was read. Each encrypted value names the version of its key, so that rows under several lie side by side while
//! the key is being replaced. Which values those are, `row` says; that no key is dropped which a row needs, the tables
//! `personal_data` and `personal_data_keys` see to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ca_engine::port::personal_data::{PersonalDataKey, PersonalDataVault};
use ca_engine::port::store::{Idempotency, StoreError};
use sqlx::FromRow;

use crate::inconsistency::inconsistent;

/// The keys that a store was given, and the versions it has met.
#[derive(Default)]
pub(crate) struct PersonalDataKeys {
    vault: OnceLock<Arc<dyn PersonalDataVault>>,
    versions: RwLock<Versions>,
}

#[derive(Clone, Default)]
struct Versions {
    /// Every version that was opened. One that is dropped from the record stays: a row that was read just before may need it.
    opened: BTreeMap<u32, Arc<dyn PersonalDataKey>>,
    /// Those that were on record at the last look, oldest first.
    on_record: Vec<u32>,
}

/// A row of `personal_data_keys`.
#[derive(Clone, FromRow)]
pub(crate) struct SealedKeyRow {
    pub(crate) version: i64,
    pub(crate) sealed: Vec<u8>,
}

impl PersonalDataKeys {
    /// Takes the vault; the first that is given stays.
    pub(crate) fn hold(&self, vault: Arc<dyn PersonalDataVault>) {
        let _stays = self.vault.set(vault);
    }

    /// The vault, if there is one.
    pub(crate) fn vault(&self) -> Option<&Arc<dyn PersonalDataVault>> {
        self.vault.get()
    }

    /// The vault, for what cannot be done without it.
    pub(crate) fn vault_for(&self, place: &str) -> Result<&Arc<dyn PersonalDataVault>, StoreError> {
        self.vault().ok_or_else(|| StoreError::NoPersonalDataKey { place: place.to_owned() })
    }

    /// Opens the versions that are on record now.
    pub(crate) fn learn(&self, rows: Vec<SealedKeyRow>) -> Result<(), StoreError> {
        let Some(vault) = self.vault() else { return Ok(()) };
        let known = self.versions.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut learnt = Versions { on_record: Vec::with_capacity(rows.len()), opened: known.opened };
        for row in rows {
            let place = format!("personal_data_keys {}", row.version);
            let version = u32::try_from(row.version).map_err(|_| inconsistent(&place, "no version"))?;
            if let Entry::Vacant(entry) = learnt.opened.entry(version) {
                entry.insert(vault.open(version, &row.sealed).map_err(|error| inconsistent(&place, error))?);
            }
            learnt.on_record.push(version);
        }
        learnt.on_record.sort_unstable();
        *self.versions.write().unwrap_or_else(PoisonError::into_inner) = learnt;
        Ok(())
    }

    /// Whether every one of `versions` is known.
    pub(crate) fn know(&self, versions: impl IntoIterator<Item = u32>) -> bool {
        let known = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions.into_iter().all(|version| known.opened.contains_key(&version))
    }

    /// The newest version, under which everything new is encrypted.
    pub(crate) fn newest(&self, place: &str) -> Result<Sealer, StoreError> {
        self.vault_for(place)?;
        self.sealers().pop().ok_or_else(|| inconsistent("personal_data_keys", "no key at all"))
    }

    /// Every version that is on record, oldest first.
    pub(crate) fn sealers(&self) -> Vec<Sealer> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        let on_record = versions.on_record.iter();
        on_record.filter_map(|version| versions.sealer(*version)).collect()
    }

    /// The version that a value is encrypted under; `None` for one in clear.
    pub(crate) fn sealer_of(&self, place: &str, octets: &[u8]) -> Result<Option<Sealer>, StoreError> {
        let Some(version) = version_of(octets) else { return Ok(None) };
        self.vault_for(place)?;
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        match versions.sealer(version) {
            Some(sealer) => Ok(Some(sealer)),
            None => Err(inconsistent(place, format_args!("encrypted under version {version}, which is not on record"))),
        }
    }

    /// A value of `column` in clear, whether it was encrypted or not. `place` names table and row.
    pub(crate) fn open(&self, place: &str, column: &str, octets: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        match self.sealer_of(place, &octets)? {
            Some(sealer) => sealer.open(place, column, &octets),
            None => Ok(octets),
        }
    }

    /// The same of a value that is nowhere written in clear.
    pub(crate) fn digested(&self, idempotency: Idempotency) -> Idempotency {
        match self.vault() {
            // A plain digest of a request that names a person could be guessed.
            Some(vault) => Idempotency {
                scope_sha256: vault.digest(&idempotency.scope_sha256),
                request_sha256: vault.digest(&idempotency.request_sha256),
                ..idempotency
            },
            None => idempotency,
        }
    }
}

impl Versions {
    fn sealer(&self, version: u32) -> Option<Sealer> {
        self.opened.get(&version).map(|key| Sealer { version, key: Arc::clone(key) })
    }
}

impl fmt::Debug for PersonalDataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalDataKeys(…)")
    }
}

/// One version of the key.
#[derive(Clone)]
pub(crate) struct Sealer {
    pub(crate) version: u32,
    key: Arc<dyn PersonalDataKey>,
}

impl Sealer {
    /// A value of `column` as it is to be stored: the mark, the version, and what the key made of it.
    pub(crate) fn seal(&self, place: &str, column: &str, clear: &[u8]) -> Result<Vec<u8>, StoreError> {
        let sealed = self.key.seal(&bound_to(place, column), clear).map_err(|error| StoreError::Unavailable {
            detail: format!("{place}: {column} could not be encrypted: {error}"),
        })?;
        Ok([&[MARK][..], &self.version.to_be_bytes(), &sealed].concat())
    }

    fn open(&self, place: &str, column: &str, octets: &[u8]) -> Result<Vec<u8>, StoreError> {
        let sealed = octets.get(HEADER..).unwrap_or_default();
        self.key.open(&bound_to(place, column), sealed).ok_or_else(|| {
            inconsistent(place, format_args!("{column} does not open: it was changed, or belongs to another row"))
        })
    }

    /// What a name is found by: an HMAC over one octet that says what it is, and its text in lower case.
    pub(crate) fn blind(&self, kind: u8, text: &str) -> [u8; 32] {
        self.key.blind(&[&[kind], text.as_bytes()].concat())
    }

    /// The version, as a column holds it.
    pub(crate) fn column(&self) -> i64 {
        i64::from(self.version)
    }
}

/// The version in the head of an encrypted value; `None` for one in clear, which is DER (0x30), or empty.
pub(crate) fn version_of(octets: &[u8]) -> Option<u32> {
    let (mark, rest) = octets.split_first()?;
    let version = rest.first_chunk::<4>()?;
    (*mark == MARK).then(|| u32::from_be_bytes(*version))
}

fn bound_to(place: &str, column: &str) -> String {
    format!("{place}, {column}")
}

/// What a certificate or reservation is called where its values are bound to it: the same for both, since a completion moves them
/// from one table to the other.
pub(crate) fn certificate_place(id: ca_core::id::CertificateId) -> String {
    format!("certificates {id}")
}

/// The first octet of an encrypted value: no DER that is stored begins so.
const MARK: u8 = 0xed;

/// The mark and the version.
const HEADER: usize = 5;

#[cfg(test)]
mod tests {
    use ca_engine::fake::FakeVault;

    use super::*;

    fn keys(vault: &FakeVault, versions: &[u32]) -> PersonalDataKeys {
        let keys = PersonalDataKeys::default();
        keys.hold(Arc::new(vault.clone()));
        keys.learn(rows(vault, versions)).expect("opens");
        keys
    }

    fn rows(vault: &FakeVault, versions: &[u32]) -> Vec<SealedKeyRow> {
        let row = |version: &u32| SealedKeyRow {
            version: i64::from(*version),
            sealed: vault.generate(*version).expect("made"),
        };
        versions.iter().map(row).collect()
    }

    #[test]
    fn a_value_opens_in_its_place_only_and_under_every_version_on_record() {
        let vault = FakeVault::new(1);
        let keys = keys(&vault, &[1]);
        let old = keys.newest("x").expect("a key").seal("certificates 1", "subject", b"Ana").expect("sealed");
        keys.learn(rows(&vault, &[1, 2])).expect("opens");
        let new = keys.newest("x").expect("a key").seal("certificates 1", "subject", b"Ana").expect("sealed");
        assert_eq!((version_of(&old), version_of(&new)), (Some(1), Some(2)));
        for sealed in [&old, &new] {
            assert_eq!(keys.open("certificates 1", "subject", sealed.clone()), Ok(b"Ana".to_vec()));
            for (place, column) in [("certificates 2", "subject"), ("certificates 1", "names")] {
                let refused = keys.open(place, column, sealed.clone());
                assert!(matches!(refused, Err(StoreError::Inconsistent { .. })), "{refused:?}");
            }
        }
        keys.learn(rows(&vault, &[2])).expect("opens");
        assert_eq!(keys.open("certificates 1", "subject", old.clone()), Ok(b"Ana".to_vec()), "it was read just before");
        assert_eq!(keys.sealers().len(), 1, "nothing is looked for under a version that is gone");
        let later = self::keys(&vault, &[2]);
        let Err(StoreError::Inconsistent { detail }) = later.open("certificates 1", "subject", old) else {
            panic!("its version was dropped");
        };
        assert!(detail.contains("version 1") && detail.contains("certificates 1"), "{detail}");
    }

    #[test]
    fn what_is_in_clear_needs_no_key_and_what_is_not_says_so() {
        let without = PersonalDataKeys::default();
        for clear in [&b"\x30\x00"[..], b""] {
            assert_eq!(without.open("certificates 1", "names", clear.to_vec()), Ok(clear.to_vec()));
        }
        let sealed =
            keys(&FakeVault::new(1), &[1]).newest("x").expect("a key").seal("certificates 1", "names", b"\x30\x00");
        let refused = without.open("certificates 1", "names", sealed.expect("sealed"));
        assert_eq!(refused, Err(StoreError::NoPersonalDataKey { place: "certificates 1".to_owned() }));
        assert!(matches!(without.newest("tokens 1"), Err(StoreError::NoPersonalDataKey { .. })));
    }

    #[test]
    fn keys_of_another_vault_are_told() {
        let keys = PersonalDataKeys::default();
        keys.hold(Arc::new(FakeVault::new(1)));
        let Err(StoreError::Inconsistent { detail }) = keys.learn(rows(&FakeVault::new(2), &[1])) else {
            panic!("must be told");
        };
        assert!(detail.contains("personal_data_keys 1") && detail.contains("another key"), "{detail}");
    }

    #[test]
    fn an_index_is_keyed_and_tells_kinds_apart() {
        let keys = keys(&FakeVault::new(1), &[1, 2]);
        let [first, second] = &keys.sealers()[..] else { panic!("two versions") };
        assert_eq!(first.blind(0, "ana"), first.blind(0, "ana"));
        assert_ne!(first.blind(0, "ana"), first.blind(1, "ana"));
        assert_ne!(first.blind(0, "ana"), second.blind(0, "ana"));
        assert_ne!(first.blind(0, "ana"), ca_core::hash::sha256(b"\0ana"));
    }
}
