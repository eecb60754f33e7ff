//! Managed certificates: who wanted one said what and where, and the service brings it there, again and again.
//!
//! [`plan`] says when something is to be done for one, [`delivery`] makes the steps at its target, [`certify`] asks the issuer,
//! [`rotate`] makes one rotation of all that and keeps each step on record before the next, [`look_after`] does what comes between
//! rotations, [`outcome`] tells how one ended, and [`wave`] takes those that are due in order of urgency.

pub mod certify;
pub mod delivery;
pub mod look_after;
pub mod outcome;
pub mod plan;
pub mod rotate;
pub mod wave;
pub mod worker;
