//! The key of personal data: its versions, and moving rows from one to the next, many in one transaction.

use async_trait::async_trait;
use ca_core::id::{CertificateId, ProfileName};
use ca_engine::port::store::{
    ClearWalk, Journal, Lease, PersonalDataHolder, PersonalDataKeyVersion, PersonalDataStore, StoreError,
};
use sqlx::types::Uuid;

use super::error::Failure;
use super::lease::fence;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, database_time, journal};
use crate::personal_data::{SealedKeyRow, Sealer, certificate_place};
use crate::row;
use crate::row::personal_data::{HeldRow, KeyVersionRow, Resealed, kind};

impl PostgresStore {
    /// Reads the versions of the key that are on record now.
    pub(super) async fn learn_keys(&self) -> Result<(), StoreError> {
        const SQL: &str = "SELECT version::bigint AS version, sealed FROM personal_data_keys AS k ORDER BY k.version";
        if self.personal_data.vault().is_none() {
            return Ok(());
        }
        let rows: Vec<SealedKeyRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        self.personal_data.learn(rows)
    }

    /// The same, when one of `versions` is not known yet: another replica has made it.
    pub(super) async fn know_keys(&self, versions: impl Iterator<Item = u32>) -> Result<(), StoreError> {
        if self.personal_data.know(versions) { Ok(()) } else { self.learn_keys().await }
    }

    /// Makes the first version when there is none; of those who try at the same time one does.
    pub(super) async fn make_first_key(&self) -> Result<(), StoreError> {
        self.learn_keys().await?;
        if self.writers.is_none() || !self.personal_data.sealers().is_empty() {
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
}

#[async_trait]
impl PersonalDataStore for PostgresStore {
    async fn personal_data_keys(&self) -> Result<Vec<PersonalDataKeyVersion>, StoreError> {
        const SQL: &str =
            "SELECT version::bigint AS version, created_at FROM personal_data_keys AS k ORDER BY k.version";
        let rows: Vec<KeyVersionRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        rows.into_iter().map(PersonalDataKeyVersion::try_from).collect()
    }

    async fn personal_data_rows(&self, version: u32) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM personal_data WHERE key_version = $1";
        let rows: Vec<(i64,)> = read(&self.reads, || sqlx::query_as(SQL).bind(i64::from(version))).await?;
        row::unsigned("personal_data", rows.first().map_or(0, |(count,)| *count))
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
        let sql = match holder {
            PersonalDataHolder::Certificates => {
                "SELECT uuid_send(p.id) AS id, c.not_after, c.subject, c.names, c.der AS octets, NULL AS common_name,
                     p.audit_text
                 FROM personal_data AS p JOIN serials AS s ON s.certificate_id = p.id
                     JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after
                 WHERE p.key_version < $1 AND p.kind = $2 ORDER BY p.key_version, p.id LIMIT $3"
            }
            PersonalDataHolder::Reservations => {
                "SELECT uuid_send(p.id) AS id, r.not_after, r.subject, r.names, r.to_be_signed AS octets,
                     NULL AS common_name, p.audit_text
                 FROM personal_data AS p JOIN reservations AS r ON r.id = p.id AND (r.abandoned_at IS NOT NULL) IS TRUE
                 WHERE p.key_version < $1 AND p.kind = $2 ORDER BY p.key_version, p.id LIMIT $3"
            }
            PersonalDataHolder::Tokens => {
                "SELECT uuid_send(p.id) AS id, 0::bigint AS not_after, NULL::bytea AS subject, t.names,
                     NULL::bytea AS octets, t.common_name, NULL::bytea AS audit_text
                 FROM personal_data AS p JOIN enrolment_tokens AS t ON t.id = p.id
                 WHERE p.key_version < $1 AND p.kind = $2 ORDER BY p.key_version, p.id LIMIT $3"
            }
        };
        let query = || sqlx::query_as(sql).bind(sealer.column()).bind(kind(holder)).bind(i64::from(limit));
        let rows: Vec<HeldRow> = read(&self.reads, query).await?;
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
        let sql = match holder {
            PersonalDataHolder::Certificates => {
                "SELECT uuid_send(c.id) AS id, c.not_after, c.subject, c.names, c.der AS octets, NULL AS common_name,
                     NULL::bytea AS audit_text
                 FROM certificates AS c WHERE c.profile = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"
            }
            PersonalDataHolder::Reservations => {
                "SELECT uuid_send(r.id) AS id, r.not_after, r.subject, r.names, r.to_be_signed AS octets,
                     NULL AS common_name, NULL::bytea AS audit_text
                 FROM reservations AS r WHERE r.profile = $1 AND r.id > $2 AND (r.abandoned_at IS NOT NULL) IS TRUE
                 ORDER BY r.id LIMIT $3"
            }
            PersonalDataHolder::Tokens => {
                "SELECT uuid_send(t.id) AS id, 0::bigint AS not_after, NULL::bytea AS subject, t.names,
                     NULL::bytea AS octets, t.common_name, NULL::bytea AS audit_text
                 FROM enrolment_tokens AS t WHERE t.profile = $1 AND t.id > $2 ORDER BY t.id LIMIT $3"
            }
        };
        let after = Uuid::from_bytes(after.unwrap_or_default());
        let query = || sqlx::query_as(sql).bind(profile.as_str()).bind(after).bind(i64::from(limit));
        let rows: Vec<HeldRow> = read(&self.reads, query).await?;
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
        const SQL: &str = "SELECT audit_text FROM personal_data WHERE id = $1";
        let rows: Vec<(Option<Vec<u8>>,)> =
            read(&self.reads, || sqlx::query_as(SQL).bind(column::certificate(certificate))).await?;
        let Some(text) = rows.into_iter().next().and_then(|(text,)| text) else { return Ok(None) };
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = concat!(
            "INSERT INTO personal_data_keys (version, sealed, created_at) VALUES (1, $1, ",
            database_time!(),
            ") ON CONFLICT DO NOTHING"
        );
        transaction.execute(sqlx::query(SQL).bind(self.sealed.as_slice())).await.map(|_| ())
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        fence(&self.lease, transaction).await?;
        // A version that is taken fails on the primary key, and that is a conflict.
        const SQL: &str = "INSERT INTO personal_data_keys (version, sealed, created_at) VALUES ($1::integer, $2, $3)";
        let query = sqlx::query(SQL)
            .bind(i64::from(self.version))
            .bind(self.sealed.as_slice())
            .bind(self.journal.event.at.unix_millis());
        transaction.execute(query).await?;
        journal::store(&[&self.journal], transaction).await
    }
}

struct KeyRemoval {
    lease: Lease,
    journal: Journal,
}

#[async_trait]
impl Change for KeyRemoval {
    type Answer = u64;

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        fence(&self.lease, transaction).await?;
        // Who is just taking up an older version holds its row, and is seen after the wait: then this fails, and is a conflict.
        const SQL: &str = "DELETE FROM personal_data_keys AS k
             WHERE k.version < (SELECT MAX(version) FROM personal_data_keys)
                 AND (SELECT TRUE FROM personal_data AS p WHERE p.key_version = k.version LIMIT 1) IS NULL";
        let dropped = transaction.execute(sqlx::query(SQL)).await?;
        if dropped > 0 {
            journal::store(&[&self.journal], transaction).await?;
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        fence(&self.lease, transaction).await?;
        if self.rows.is_empty() {
            return Ok(());
        }
        match self.holder {
            PersonalDataHolder::Certificates => {
                self.put_certificates(transaction).await?;
                self.move_terms(transaction).await?;
            }
            PersonalDataHolder::Reservations => self.put_reservations(transaction).await?,
            PersonalDataHolder::Tokens => self.put_tokens(transaction).await?,
        }
        self.put_versions(transaction).await
    }
}

impl Resealing {
    fn ids(&self) -> Vec<Uuid> {
        self.rows.iter().map(|row| Uuid::from_bytes(row.id)).collect()
    }

    fn each<'a, T>(&'a self, column: impl Fn(&'a Resealed) -> T) -> Vec<T> {
        self.rows.iter().map(column).collect()
    }

    async fn put_certificates(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "UPDATE certificates AS c SET subject = g.subject, names = g.names, der = g.der
             FROM UNNEST($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[])
                 AS g (id, not_after, subject, names, der)
             WHERE c.id = g.id AND c.not_after = g.not_after";
        let query = sqlx::query(SQL)
            .bind(self.ids())
            .bind(self.each(|row| row.not_after))
            .bind(self.each(|row| row.subject.as_slice()))
            .bind(self.each(|row| row.names.as_slice()))
            .bind(self.each(|row| row.octets.as_slice()));
        transaction.execute(query).await.map(|_| ())
    }

    async fn move_terms(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const AWAY: &str = "DELETE FROM certificate_names AS n USING UNNEST($1::bytea[], $2::uuid[], $3::bigint[])
                 AS g (term, certificate_id, not_after)
             WHERE n.term = g.term AND n.certificate_id = g.certificate_id AND n.not_after = g.not_after";
        const BACK: &str = "INSERT INTO certificate_names (term, certificate_id, not_after)
             SELECT term, certificate_id, not_after FROM UNNEST($1::bytea[], $2::uuid[], $3::bigint[])
                 AS g (term, certificate_id, not_after) ON CONFLICT DO NOTHING";
        let (mut old, mut new, mut ids, mut ends) = (vec![], vec![], vec![], vec![]);
        for row in &self.rows {
            for (kind, text) in row.terms.iter().flat_map(|terms| terms.all()) {
                old.push(column::term(kind, text, row.before.as_ref()));
                new.push(column::term(kind, text, Some(&self.sealer)));
                ids.push(Uuid::from_bytes(row.id));
                ends.push(row.not_after);
            }
        }
        transaction.execute(sqlx::query(AWAY).bind(old).bind(ids.clone()).bind(ends.clone())).await?;
        transaction.execute(sqlx::query(BACK).bind(new).bind(ids).bind(ends)).await.map(|_| ())
    }

    async fn put_reservations(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        // There will be no certificate to be found.
        const SQL: &str =
            "UPDATE reservations AS r SET subject = g.subject, names = g.names, to_be_signed = g.to_be_signed, terms = ''
             FROM UNNEST($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[]) AS g (id, subject, names, to_be_signed)
             WHERE r.id = g.id";
        let query = sqlx::query(SQL)
            .bind(self.ids())
            .bind(self.each(|row| row.subject.as_slice()))
            .bind(self.each(|row| row.names.as_slice()))
            .bind(self.each(|row| row.octets.as_slice()));
        transaction.execute(query).await.map(|_| ())
    }

    async fn put_tokens(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "UPDATE enrolment_tokens AS t SET names = g.names, common_name = g.common_name
             FROM UNNEST($1::uuid[], $2::bytea[], $3::text[]) AS g (id, names, common_name) WHERE t.id = g.id";
        let query = sqlx::query(SQL)
            .bind(self.ids())
            .bind(self.each(|row| row.names.as_slice()))
            .bind(self.each(|row| row.common_name.as_deref()));
        transaction.execute(query).await.map(|_| ())
    }

    async fn put_versions(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        // What was erased meanwhile stays erased.
        const SQL: &str = "INSERT INTO personal_data AS p (id, kind, key_version, audit_text)
             SELECT id, $3::smallint, $4::integer, audit_text FROM UNNEST($1::uuid[], $2::bytea[]) AS g (id, audit_text)
             ON CONFLICT (id) DO UPDATE SET key_version = excluded.key_version,
                 audit_text = CASE WHEN p.audit_text IS NOT NULL THEN excluded.audit_text END";
        let query = sqlx::query(SQL)
            .bind(self.ids())
            .bind(self.each(|row| row.audit_text.as_deref()))
            .bind(kind(self.holder))
            .bind(self.sealer.column());
        transaction.execute(query).await.map(|_| ())
    }
}

struct Erasure {
    certificate: CertificateId,
    journal: Journal,
}

#[async_trait]
impl Change for Erasure {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "UPDATE personal_data SET audit_text = NULL WHERE id = $1 AND audit_text IS NOT NULL";
        if transaction.execute(sqlx::query(SQL).bind(column::certificate(self.certificate))).await? == 0 {
            return Ok(false);
        }
        journal::store(&[&self.journal], transaction).await?;
        Ok(true)
    }
}
