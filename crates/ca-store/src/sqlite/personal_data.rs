//! The key of personal data: its versions, and moving rows from one to the next, many in one change.

use async_trait::async_trait;
use ca_core::id::{CertificateId, ProfileName};
use ca_engine::port::store::{
    ClearWalk, Journal, Lease, PersonalDataHolder, PersonalDataKeyVersion, PersonalDataStore, StoreError,
};
use sqlx::SqliteConnection;

use super::certificate_record::term;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::{SqliteStore, database_time};
use crate::personal_data::{SealedKeyRow, Sealer, certificate_place};
use crate::row;
use crate::row::personal_data::{HeldRow, KeyVersionRow, Resealed, kind};

impl SqliteStore {
    /// Reads the versions of the key that are on record now.
    pub(super) async fn learn_keys(&self) -> Result<(), StoreError> {
        if self.personal_data.vault().is_none() {
            return Ok(());
        }
        self.personal_data.learn(self.key_rows().await?)
    }

    async fn key_rows(&self) -> Result<Vec<SealedKeyRow>, Failure> {
        const SQL: &str = "SELECT version, sealed FROM personal_data_keys ORDER BY version";
        Ok(sqlx::query_as(SQL).fetch_all(&self.readers).await?)
    }

    /// The same, when one of `versions` is not known yet: another process has made it.
    pub(super) async fn know_keys(&self, versions: impl Iterator<Item = u32>) -> Result<(), StoreError> {
        if self.personal_data.know(versions) { Ok(()) } else { self.learn_keys().await }
    }

    /// Makes the first version when there is none; of those who try at the same time one does.
    pub(super) async fn make_first_key(&self) -> Result<(), StoreError> {
        self.learn_keys().await?;
        if self.writer.is_none() || !self.personal_data.sealers().is_empty() {
            return Ok(());
        }
        let sealed = self.sealed_key(1)?;
        self.change(FirstKey { sealed }).await
    }

    fn sealed_key(&self, version: u32) -> Result<Vec<u8>, StoreError> {
        let vault = self.personal_data.vault_for("personal_data_keys")?;
        let unmade = |error| StoreError::Unavailable { detail: format!("no key could be made: {error}") };
        vault.generate(version).map_err(unmade)
    }

    /// Rows that are to be moved, opened and encrypted anew.
    async fn resealed(
        &self,
        rows: Vec<HeldRow>,
        holder: PersonalDataHolder,
        sealer: &Sealer,
    ) -> Result<Vec<Resealed>, StoreError> {
        self.know_keys(rows.iter().flat_map(|row| row.key_versions())).await?;
        rows.into_iter().map(|row| row.resealed(holder, &self.personal_data, sealer)).collect()
    }

    async fn versions(&self) -> Result<Vec<KeyVersionRow>, Failure> {
        const SQL: &str = "SELECT version, created_at FROM personal_data_keys ORDER BY version";
        Ok(sqlx::query_as(SQL).fetch_all(&self.readers).await?)
    }

    async fn count_under(&self, version: u32) -> Result<i64, Failure> {
        const SQL: &str = "SELECT COUNT(*) FROM personal_data WHERE key_version = $1";
        Ok(sqlx::query_scalar(SQL).bind(version).fetch_one(&self.readers).await?)
    }

    /// Rows under older versions than `sealer`'s.
    async fn older(&self, holder: PersonalDataHolder, sealer: &Sealer, limit: u32) -> Result<Vec<HeldRow>, Failure> {
        let sql = match holder {
            PersonalDataHolder::Certificates => {
                "SELECT p.id, c.not_after, c.subject, c.names, c.der AS octets, NULL AS common_name, p.audit_text
                 FROM personal_data AS p JOIN certificates AS c ON c.id = p.id
                 WHERE p.key_version < $1 AND p.kind = $2 ORDER BY p.key_version, p.kind, p.id LIMIT $3"
            }
            PersonalDataHolder::Reservations => {
                "SELECT p.id, r.not_after, r.subject, r.names, r.to_be_signed AS octets, NULL AS common_name, p.audit_text
                 FROM personal_data AS p JOIN reservations AS r ON r.id = p.id AND +r.abandoned_at IS NOT NULL
                 WHERE p.key_version < $1 AND p.kind = $2 ORDER BY p.key_version, p.kind, p.id LIMIT $3"
            }
            PersonalDataHolder::Tokens => {
                "SELECT p.id, 0 AS not_after, NULL AS subject, t.names, NULL AS octets, t.common_name, NULL AS audit_text
                 FROM personal_data AS p JOIN enrolment_tokens AS t ON t.id = p.id
                 WHERE p.key_version < $1 AND p.kind = $2 ORDER BY p.key_version, p.kind, p.id LIMIT $3"
            }
        };
        let query = sqlx::query_as(sql).bind(sealer.column()).bind(kind(holder)).bind(limit);
        Ok(query.fetch_all(&self.readers).await?)
    }

    /// Rows of a profile, in the order of their ids.
    async fn of_profile(
        &self,
        holder: PersonalDataHolder,
        profile: &ProfileName,
        after: Option<[u8; 16]>,
        limit: u32,
    ) -> Result<Vec<HeldRow>, Failure> {
        let sql = match holder {
            PersonalDataHolder::Certificates => {
                "SELECT c.id, c.not_after, c.subject, c.names, c.der AS octets, NULL AS common_name, NULL AS audit_text
                 FROM certificates AS c WHERE c.profile = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"
            }
            PersonalDataHolder::Reservations => {
                "SELECT r.id, r.not_after, r.subject, r.names, r.to_be_signed AS octets, NULL AS common_name,
                     NULL AS audit_text
                 FROM reservations AS r WHERE r.profile = $1 AND r.id > $2 AND +r.abandoned_at IS NOT NULL
                 ORDER BY r.id LIMIT $3"
            }
            PersonalDataHolder::Tokens => {
                "SELECT t.id, 0 AS not_after, NULL AS subject, t.names, NULL AS octets, t.common_name, NULL AS audit_text
                 FROM enrolment_tokens AS t WHERE t.profile = $1 AND t.id > $2 ORDER BY t.id LIMIT $3"
            }
        };
        // No octets at all are below every id.
        let after = after.map_or_else(Vec::new, |after| after.to_vec());
        let query = sqlx::query_as(sql).bind(profile.as_str()).bind(after).bind(limit);
        Ok(query.fetch_all(&self.readers).await?)
    }

    async fn stored_audit_text(&self, certificate: CertificateId) -> Result<Option<Vec<u8>>, Failure> {
        let query = sqlx::query_scalar("SELECT audit_text FROM personal_data WHERE id = $1");
        let text: Option<Option<Vec<u8>>> =
            query.bind(certificate.as_bytes().as_slice()).fetch_optional(&self.readers).await?;
        Ok(text.flatten())
    }
}

#[async_trait]
impl PersonalDataStore for SqliteStore {
    async fn personal_data_keys(&self) -> Result<Vec<PersonalDataKeyVersion>, StoreError> {
        self.versions().await?.into_iter().map(PersonalDataKeyVersion::try_from).collect()
    }

    async fn personal_data_rows(&self, version: u32) -> Result<u64, StoreError> {
        row::unsigned("personal_data", self.count_under(version).await?)
    }

    async fn add_personal_data_key(&self, lease: &Lease, journal: Journal) -> Result<u32, StoreError> {
        self.learn_keys().await?;
        let version = self.personal_data.newest("personal_data_keys")?.version + 1;
        let sealed = self.sealed_key(version)?;
        self.change(KeyAddition { lease: lease.clone(), version, sealed, journal }).await?;
        self.learn_keys().await?;
        Ok(version)
    }

    async fn reseal_personal_data(
        &self,
        lease: &Lease,
        holder: PersonalDataHolder,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.learn_keys().await?;
        let sealer = self.personal_data.newest("personal_data_keys")?;
        let rows = self.older(holder, &sealer, limit).await?;
        let resealed = self.resealed(rows, holder, &sealer).await?;
        let count = resealed.len() as u64;
        self.change(Resealing { lease: lease.clone(), holder, sealer, rows: resealed }).await?;
        Ok(count)
    }

    async fn seal_clear_personal_data(
        &self,
        lease: &Lease,
        holder: PersonalDataHolder,
        profile: &ProfileName,
        after: Option<[u8; 16]>,
        limit: u32,
    ) -> Result<ClearWalk, StoreError> {
        self.learn_keys().await?;
        let sealer = self.personal_data.newest("personal_data_keys")?;
        let rows = self.of_profile(holder, profile, after, limit).await?;
        let next = match rows.last() {
            Some(last) if rows.len() >= limit as usize => Some(row::octets("personal_data.id", last.id.clone())?),
            _ => None,
        };
        let clear = rows.into_iter().filter(HeldRow::is_clear).collect();
        let resealed = self.resealed(clear, holder, &sealer).await?;
        let sealed = resealed.len() as u64;
        self.change(Resealing { lease: lease.clone(), holder, sealer, rows: resealed }).await?;
        Ok(ClearWalk { sealed, next })
    }

    async fn drop_personal_data_keys(&self, lease: &Lease, journal: Journal) -> Result<u64, StoreError> {
        let dropped = self.change(KeyRemoval { lease: lease.clone(), journal }).await?;
        self.learn_keys().await?;
        Ok(dropped)
    }

    async fn audit_text(&self, certificate: CertificateId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(text) = self.stored_audit_text(certificate).await? else { return Ok(None) };
        self.know_keys(crate::personal_data::version_of(&text).into_iter()).await?;
        self.personal_data.open(&certificate_place(certificate), "audit_text", text).map(Some)
    }

    async fn erase_audit_text(&self, certificate: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Erasure { certificate, journal }).await
    }
}

struct FirstKey {
    sealed: Vec<u8>,
}

#[async_trait]
impl Change for FirstKey {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str = concat!(
            "INSERT INTO personal_data_keys (version, sealed, created_at) VALUES (1, $1, ",
            database_time!(),
            ") ON CONFLICT (version) DO NOTHING"
        );
        sqlx::query(SQL).bind(self.sealed.as_slice()).execute(connection).await?;
        Ok(())
    }
}

struct KeyAddition {
    lease: Lease,
    version: u32,
    sealed: Vec<u8>,
    journal: Journal,
}

#[async_trait]
impl Change for KeyAddition {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        fence(&self.lease, connection).await?;
        // A version that is taken fails on the primary key, and that is a conflict.
        const SQL: &str = concat!(
            journal_sql!(),
            "INSERT INTO personal_data_keys (version, sealed, created_at) VALUES ($7, $8, $6);"
        );
        journal::bind(SQL, &self.journal).bind(self.version).bind(self.sealed.as_slice()).execute(connection).await?;
        Ok(())
    }
}

struct KeyRemoval {
    lease: Lease,
    journal: Journal,
}

#[async_trait]
impl Change for KeyRemoval {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        fence(&self.lease, connection).await?;
        const SQL: &str = "DELETE FROM personal_data_keys WHERE version < (SELECT MAX(version) FROM personal_data_keys)
             AND NOT EXISTS (SELECT 1 FROM personal_data WHERE key_version = personal_data_keys.version)";
        let dropped = sqlx::query(SQL).execute(&mut *connection).await?.rows_affected();
        if dropped > 0 {
            journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
        }
        Ok(dropped)
    }
}

/// Rows that were encrypted anew, and are to be put in their places.
struct Resealing {
    lease: Lease,
    holder: PersonalDataHolder,
    sealer: Sealer,
    rows: Vec<Resealed>,
}

#[async_trait]
impl Change for Resealing {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        fence(&self.lease, connection).await?;
        for row in &self.rows {
            match self.holder {
                PersonalDataHolder::Certificates => self.put_certificate(row, connection).await?,
                PersonalDataHolder::Reservations => put_reservation(row, connection).await?,
                PersonalDataHolder::Tokens => put_token(row, connection).await?,
            }
            // What was erased meanwhile stays erased.
            const SQL: &str =
                "INSERT INTO personal_data AS p (id, kind, key_version, audit_text) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (id) DO UPDATE SET key_version = excluded.key_version,
                     audit_text = iif(p.audit_text IS NOT NULL, excluded.audit_text, NULL)";
            sqlx::query(SQL)
                .bind(row.id.as_slice())
                .bind(kind(self.holder))
                .bind(self.sealer.column())
                .bind(row.audit_text.as_deref())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

impl Resealing {
    async fn put_certificate(&self, row: &Resealed, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str = "UPDATE certificates SET subject = $2, names = $3, der = $4 WHERE id = $1";
        sqlx::query(SQL)
            .bind(row.id.as_slice())
            .bind(row.subject.as_slice())
            .bind(row.names.as_slice())
            .bind(row.octets.as_slice())
            .execute(&mut *connection)
            .await?;
        const MOVE: &str = "DELETE FROM certificate_names WHERE kind = $2 AND value = $3 AND certificate_id = $1;
             INSERT INTO certificate_names (kind, value, certificate_id) VALUES ($2, $4, $1) ON CONFLICT DO NOTHING;";
        for (kind, text) in row.terms.iter().flat_map(|terms| terms.all()) {
            sqlx::query(MOVE)
                .bind(row.id.as_slice())
                .bind(kind)
                .bind(term(kind, text, row.before.as_ref()))
                .bind(term(kind, text, Some(&self.sealer)))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

async fn put_reservation(row: &Resealed, connection: &mut SqliteConnection) -> Result<(), Failure> {
    // There will be no certificate to be found.
    const SQL: &str = "UPDATE reservations SET subject = $2, names = $3, to_be_signed = $4, search_names = '[]',
             search_subject = '' WHERE id = $1";
    sqlx::query(SQL)
        .bind(row.id.as_slice())
        .bind(row.subject.as_slice())
        .bind(row.names.as_slice())
        .bind(row.octets.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_token(row: &Resealed, connection: &mut SqliteConnection) -> Result<(), Failure> {
    const SQL: &str = "UPDATE enrolment_tokens SET names = $2, common_name = $3 WHERE id = $1";
    sqlx::query(SQL)
        .bind(row.id.as_slice())
        .bind(row.names.as_slice())
        .bind(row.common_name.as_deref())
        .execute(connection)
        .await?;
    Ok(())
}

struct Erasure {
    certificate: CertificateId,
    journal: Journal,
}

#[async_trait]
impl Change for Erasure {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "UPDATE personal_data SET audit_text = NULL WHERE id = $1 AND audit_text IS NOT NULL";
        let erase = sqlx::query(SQL).bind(self.certificate.as_bytes().as_slice());
        if erase.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
        journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
        Ok(true)
    }
}
