//! The stories of the service, one file each. Steps are numbered; each consumes what the one before it made.

pub mod answer_status;
mod audit_text;
pub mod authenticate;
pub mod deliver_events;
pub mod establish;
pub mod expire;
pub mod follow_anchor;
pub mod follow_revocations;
mod issuance;
pub mod issue;
pub mod outbox;
pub mod personal_data;
pub mod publish_crl;
pub mod query;
pub mod reconcile;
pub mod recover;
pub mod renew;
pub mod renewal_period;
pub mod respond;
pub mod restore;
pub mod retention;
pub mod revoke;
pub mod role;
pub mod sequence_audit;
pub mod steady_clock;
pub mod token;
pub mod watch_clock;
