//! Who shows a certificate: asked at every request, and so for many at once.

use std::collections::BTreeMap;

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
        // The connections of one holder show one certificate: it is looked up once for all who ask at the same time.
        let (mut each, mut places) = (Vec::new(), BTreeMap::new());
        let asked: Vec<usize> = shown
            .iter()
            .map(|shown| {
                let place = (shown.serial.as_bytes(), shown.authority.as_str(), shown.not_after);
                *places.entry(place).or_insert_with(|| {
                    each.push(shown);
                    each.len() - 1
                })
            })
            .collect();
        let serials: Vec<_> = each.iter().map(|shown| shown.serial.as_bytes()).collect();
        let authorities: Vec<_> = each.iter().map(|shown| shown.authority.as_str()).collect();
        let ends: Vec<_> = each.iter().map(|shown| shown.not_after.unix_millis()).collect();
        let query = || sqlx::query_as(SQL).bind(serials.clone()).bind(authorities.clone()).bind(ends.clone());
        let rows: Vec<PlacedRow> = read(reads, query).await?;
        let mut holders: Vec<_> = each.iter().map(|_| Ok(None)).collect();
        for PlacedRow { place, holder, roles } in rows {
            let found = usize::try_from(place - 1).ok().and_then(|index| holders.get_mut(index));
            let found = found.ok_or_else(|| inconsistent("serials", "one that nobody asked for"))?;
            *found = holder.with_roles(&roles).map(Some);
        }
        // Each has a place among those that were looked up.
        Ok(asked.into_iter().filter_map(|place| holders.get(place).cloned()).collect())
    }
}
