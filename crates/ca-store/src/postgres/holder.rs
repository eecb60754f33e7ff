//! Who shows a certificate: asked at every request, and so for many at once.

use async_trait::async_trait;
use ca_engine::port::store::{Holder, ShownCertificate, StoreError};
use sqlx::FromRow;

use super::error::Failure;
use super::pool::Pool;
use super::reader::Lookup;
use super::transaction::read;
use crate::row::inconsistent;
use crate::row::role::HolderRow;

#[derive(FromRow)]
struct PlacedRow {
    place: i64,
    #[sqlx(flatten)]
    holder: HolderRow,
    roles: Vec<String>,
}

#[async_trait]
impl Lookup for ShownCertificate {
    type Answer = Option<Holder>;

    async fn look_up(shown: &[Self], reads: &Pool) -> Result<Vec<Result<Option<Holder>, StoreError>>, Failure> {
        // The condition on $3 says which months the rows lie in: the others are then left out of the plan, which would cost more
        // than the rest of the query.
        const SQL: &str = "
            SELECT g.place, uuid_send(c.id) AS id, c.fingerprint_sha256, c.not_before, c.not_after, s.state::bigint AS state,
                s.reason::bigint AS reason, s.revoked_at, s.invalidity_date,
                ARRAY(SELECT r.role FROM roles AS r WHERE r.certificate_id = c.id) AS roles
            FROM UNNEST($1::bytea[], $2::text[], $3::bigint[]) WITH ORDINALITY AS g (serial, authority, not_after, place)
                JOIN serials AS s ON s.serial = g.serial AND s.authority = g.authority AND s.not_after = g.not_after
                JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after
            WHERE c.not_after = ANY ($3)";
        let each = || shown.iter();
        let serials: Vec<_> = each().map(|shown| shown.serial.as_bytes()).collect();
        let authorities: Vec<_> = each().map(|shown| shown.authority.as_str()).collect();
        let ends: Vec<_> = each().map(|shown| shown.not_after.unix_millis()).collect();
        let query = || sqlx::query_as(SQL).bind(serials.clone()).bind(authorities.clone()).bind(ends.clone());
        let rows: Vec<PlacedRow> = read(reads, query).await?;
        let mut holders: Vec<_> = each().map(|_| Ok(None)).collect();
        for PlacedRow { place, holder, roles } in rows {
            let asked = usize::try_from(place - 1).ok().and_then(|index| holders.get_mut(index));
            let asked = asked.ok_or_else(|| inconsistent("serials", "one that nobody asked for"))?;
            *asked = holder.with_roles(&roles).map(Some);
        }
        Ok(holders)
    }
}
