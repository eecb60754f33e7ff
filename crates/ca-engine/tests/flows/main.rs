//! Tests of the flows over the fakes of every port: one file a flow, one file of faults that strike all of them.
//!
//! Nothing here knows a database, a network or a real clock. [`world`] makes a whole certificate authority in memory, in which
//! every signature of an authority's key is held against the record (invariant 2 of the design).

mod adopt;
mod anchors;
mod audit;
mod authenticate;
mod bulk_revoke;
mod deliver_events;
mod establish;
mod expire;
mod fault;
mod follow_issuer_list;
mod gateway;
mod issue;
mod issue_elsewhere;
mod managed;
mod managed_define;
mod managed_fault;
mod managed_worker;
mod mirror_lists;
mod notices;
mod publish_crl;
mod publish_partial;
mod query;
mod reconcile;
mod remembered;
mod renew;
mod renew_expired;
mod renewal_windows;
mod replaced;
mod respond;
mod respond_elsewhere;
mod restore;
mod retention;
mod revoke;
mod rollover;
mod shared;
mod sign_ahead;
mod signature;
mod status;
mod status_fault;
mod token;
mod watch_clock;
mod world;
