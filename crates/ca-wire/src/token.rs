//! Enrolment tokens.

use ca_api::token::EnrolmentToken;
use ca_engine::port::store::TokenRecord;

use crate::name::names;

/// An enrolment token; its secret is not on record.
pub fn token(record: &TokenRecord) -> EnrolmentToken {
    EnrolmentToken {
        id: record.id.to_string(),
        profile: record.binding.profile.to_string(),
        subject_alternative_names: names(&record.binding.names),
        common_name: record.binding.common_name.clone(),
        created_by: record.created_by.clone(),
        created_at: record.created_at.to_rfc3339(),
        expires_at: record.expires_at.to_rfc3339(),
        uses: record.uses,
        uses_left: if record.withdrawn { 0 } else { record.uses.saturating_sub(record.used) },
        withdrawn: record.withdrawn,
    }
}
