//! Moves of renewal windows, as their columns give them.

use ca_core::id::{CertificateId, WindowMoveId};
use ca_core::renewal::{RenewalScope, RenewalWindow, Waves};
use ca_core::time::Timestamp;
use ca_engine::port::store::{StoreError, WindowMove};
use sqlx::FromRow;

use super::inconsistent;

#[derive(FromRow)]
pub(crate) struct WindowMoveRow {
    pub(crate) id: Vec<u8>,
    pub(crate) authority: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) certificate_id: Option<Vec<u8>>,
    pub(crate) issued_after: Option<i64>,
    pub(crate) issued_before: i64,
    pub(crate) window_start: i64,
    pub(crate) window_end: i64,
    pub(crate) waves: i64,
    pub(crate) explanation_url: Option<String>,
    pub(crate) moved_by: String,
    pub(crate) moved_at: i64,
}

impl TryFrom<WindowMoveRow> for WindowMove {
    type Error = StoreError;

    fn try_from(row: WindowMoveRow) -> Result<Self, StoreError> {
        const TABLE: &str = "renewal_window_moves";
        let certificate = row.certificate_id.map(|id| super::octets("renewal_window_moves.certificate_id", id));
        Ok(Self {
            id: WindowMoveId::from_bytes(super::octets("renewal_window_moves.id", row.id)?),
            scope: RenewalScope {
                authority: row.authority.map(|name| super::authority(TABLE, &name)).transpose()?,
                profile: row.profile.map(|name| super::profile(TABLE, &name)).transpose()?,
                certificate: certificate.transpose()?.map(CertificateId::from_bytes),
                issued_after: row.issued_after.map(Timestamp::from_unix_millis),
                issued_before: Timestamp::from_unix_millis(row.issued_before),
            },
            waves: Waves {
                window: RenewalWindow {
                    start: Timestamp::from_unix_millis(row.window_start),
                    end: Timestamp::from_unix_millis(row.window_end),
                },
                count: u32::try_from(row.waves).map_err(|_| inconsistent(TABLE, "a number of waves that cannot be"))?,
            },
            explanation_url: row.explanation_url,
            moved_by: row.moved_by,
            moved_at: Timestamp::from_unix_millis(row.moved_at),
        })
    }
}
