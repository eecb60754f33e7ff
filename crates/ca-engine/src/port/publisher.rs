//! Where signed CRLs are put beside the database: the data folder, later object storage.

use async_trait::async_trait;
use ca_core::crl::ListName;
use thiserror::Error;

use crate::port::list_octets::ListOctets;

/// Puts signed lists where others fetch them.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Puts a list in place of an older one of its name, atomically: a reader sees the old or the new list, never a part. A list whose number is not above the one in place is left out silently: a late writer never turns a
    /// list back. Repeating a call is harmless.
    async fn publish_crl(&self, list: &ListName, number: u64, der: &ListOctets) -> Result<(), PublishError>;
}

/// The list could not be put in place; it is on record and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the CRL could not be published: {detail}")]
pub struct PublishError {
    /// What went wrong.
    pub detail: String,
}
