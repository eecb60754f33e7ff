//! Whether the record is as new as what was published, and that nothing is signed or changed while it is not known to be.
//!
//! A record from a backup says `good` of what was revoked since and would give out numbers of lists again. So a record that is
//! behind its anchor is closed until an operator has brought it up to it (`ca-server restore --reconcile`). The comparison is a
//! flow, [`crate::flow::follow_anchor`]; bringing it up another, [`crate::flow::restore`].

use crate::error::{FlowError, FlowErrorKind};

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorVerdict {
    /// This process keeps no anchor: nothing is compared. No program is set up so, only tests and benches.
    NotKept,
    /// The record has everything that the anchor has.
    Agrees,
    /// Another record came into the place of the one that this process followed, and was not compared yet.
    Uncompared(String),
    /// The anchor could not be read: the record may be old.
    Unreadable(String),
    /// The record is one that was anchored, and the anchor does not know it: it was lost, or another place is configured.
    Unknown(String),
    /// The record lacks what the anchor has, or came from a backup and was not compared yet.
    Behind(String),
}

impl AnchorVerdict {
    /// Why nothing may be signed or changed, if it may not.
    pub fn obstacle(&self) -> Option<&str> {
        match self {
            Self::NotKept | Self::Agrees => None,
            Self::Uncompared(why) | Self::Unreadable(why) | Self::Unknown(why) | Self::Behind(why) => Some(why),
        }
    }
}

/// The command that brings a record up to its anchor.
pub const RECONCILE_COMMAND: &str = "ca-server restore --reconcile";

/// Refuses while the record is not known to be as new as what was published.
pub(crate) fn refuse_old_record(verdict: &AnchorVerdict) -> Result<(), FlowError> {
    let Some(why) = verdict.obstacle() else { return Ok(()) };
    let error = match verdict {
        AnchorVerdict::Uncompared(_) => FlowError::new(
            FlowErrorKind::SigningSuspended,
            "the record is another than a moment ago, so nothing is signed or changed until it was compared with the anchor",
        )
        .retry_after(2),
        AnchorVerdict::Unreadable(_) => FlowError::new(
            FlowErrorKind::SigningSuspended,
            "the service cannot read its anchor, so it does not know whether its record is the newest: it signs nothing and \
             admits nobody",
        )
        .retry_after(10),
        _ => FlowError::new(
            FlowErrorKind::SigningSuspended,
            format!(
                "the record is not known to hold everything that was published, so nothing is signed or changed and nobody is \
                 admitted; its operator must run `{RECONCILE_COMMAND}`"
            ),
        ),
    };
    Err(error.with_detail(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_that_agrees_or_is_not_anchored_signs() {
        let why = || "test".to_owned();
        assert_eq!(refuse_old_record(&AnchorVerdict::Agrees), Ok(()));
        assert_eq!(refuse_old_record(&AnchorVerdict::NotKept), Ok(()));
        for verdict in [
            AnchorVerdict::Uncompared(why()),
            AnchorVerdict::Behind(why()),
            AnchorVerdict::Unknown(why()),
            AnchorVerdict::Unreadable(why()),
        ] {
            let error = refuse_old_record(&verdict).expect_err("closed");
            assert_eq!(error.kind, FlowErrorKind::SigningSuspended);
            assert_eq!(error.detail.as_deref(), Some("test"), "the log says why");
        }
    }
}
