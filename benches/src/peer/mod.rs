//! Other programs, measured in the same run on the same machine. Where one is not installed, its row says so.

pub(crate) mod ocsp_responder;
pub(crate) mod openssl;
pub(crate) mod python;

use crate::spread::Cost;

/// What a peer took.
pub(crate) struct Measured {
    /// Its name and version.
    pub(crate) version: String,
    /// Of one piece of work.
    pub(crate) cost: Cost,
}
