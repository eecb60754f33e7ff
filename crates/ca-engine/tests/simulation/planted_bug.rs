//! The bugs that are planted one by one, to prove that the simulation would find them.
//!
//! Each is what a real store, or a real adapter of another port, could get wrong.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PlantedBug {
    /// A revocation takes two numbers of the sequence, as one does whose first transaction was rolled back.
    SequenceNumberLost,
    /// A completion is acknowledged, and its commit fails.
    CompletionAcknowledgedBeforeCommit,
    /// A reservation is acknowledged, and its commit fails.
    ReservationAcknowledgedBeforeCommit,
    /// A serial number that is taken may be reserved again.
    SerialReused,
    /// A CRL may be put on record under a lease that has moved on.
    StaleLeaseWritesCrl,
    /// An idempotency key is not found again.
    IdempotencyForgotten,
    /// A use of a token is not counted.
    TokenUseNotCounted,
    /// The use of a token is not given back when its reservation is abandoned.
    TokenUseNotGivenBack,
    /// A withdrawn token may be used.
    WithdrawnTokenAccepted,
    /// A second successor may be reserved while another is live.
    SecondSuccessorAccepted,
    /// A compromise does not block the key.
    KeyNotBlocked,
    /// A completion does not look whether the key was blocked since the reservation.
    BlockedKeyCompleted,
    /// A completion does not look whether the predecessor still stands.
    PredecessorNotLookedAt,
    /// A compromise leaves their roles to those who renewed since.
    RolesLeftToHeirs,
    /// The audit event of an abandonment is not stored.
    AuditEventDropped,
    /// Audit events may be chained under a lease that has moved on.
    StaleLeaseChains,
    /// A new holder gets the token of the old one.
    LeaseTokenRepeated,
    /// An intended CRL need not have a higher number.
    CrlNumberNotRaised,
    /// Whoever goes on with a bulk revocation begins one batch too late.
    BatchSkippedOnResume,
    /// The end of a hold does not look at how the certificate stands by now.
    HoldEndOverwritesRevocation,
    /// A completion revives a reservation that was abandoned.
    AbandonedReservationCompleted,
    /// The status of a serial is read from a copy that lags behind.
    StatusFromStaleCopy,
    /// A page of revoked serials lacks its last row.
    RevokedPageLosesLast,
    /// The number of the newest revocation is visible before its row.
    SequenceBeforeRow,
    /// A published list is put in place though a newer one is there.
    OlderListPublished,
    /// A clock that is wrong is not seen: it is compared with itself.
    WrongClockUnseen,
    /// A fail-over loses what was committed just before.
    FailOverLosesCommits,
    /// A message goes to one of its sinks only.
    MessageLostForASink,
    /// A delivery whose attempt failed is forgotten like one that was taken.
    DeliveryForgottenUntaken,
    /// A delivery that waits for its next attempt is passed by later ones about the same certificate.
    PendingDeliveryPassed,
    /// Attempts are counted twice, so that an event is given up too early.
    AttemptsCountedTwice,
    /// What became of attempts may be recorded under a lease that has moved on.
    StaleLeaseSettles,
    /// An answer in memory is given after the sequence of revocations has told of its serial.
    AnswerOutlivesNews,
    /// An answer is let into memory though the news of its serial came since the record was asked.
    AnswerLetInAfterNews,
    /// A process that revokes a certificate goes on with the answer that it has in memory.
    RevokerRemembers,
    /// An answer in memory is given though its life has ended, while the record cannot be followed.
    AnswerOutlivesItself,
    /// An answer in memory is given though the sequence of revocations was not looked at for long.
    FollowingNotLookedAt,
    /// An answer that another process has signed is given though the standing of its serial has changed.
    SharedAnswerOfChangedSerial,
    /// An answer is given that nobody of ours has signed.
    SharedAnswerNotVerified,
    /// The anchor loses a revocation that it has taken.
    AnchorForgetsRow,
    /// A process begins without a look at the anchor.
    AnchorNotAsked,
    /// A restoration does not raise the numbers of lists.
    ListNumbersNotRaised,
    /// A shard or delta may be intended under a number that is not above the others.
    PartialNumberNotRaised,
    /// What is asked for from where a shard begins lacks its first row.
    ShardLosesFirst,
    /// A restoration does not put a serial on record that was revoked and is lost.
    LostSerialLeftOut,
    /// The key signs octets that were never put on record.
    OtherOctetsSigned,
    /// A serial that an issuer elsewhere chose is not on record when its certificate is released.
    ReleasedBeforeAdopted,
    /// That an issuer elsewhere was asked is not on record.
    OrderNotOnRecord,
    /// An issuer elsewhere is not told of a revocation.
    RevocationNotPassedOn,
}

impl PlantedBug {
    /// Whether it can be found only where an authority issues elsewhere.
    pub(crate) fn is_elsewhere(self) -> bool {
        matches!(self, Self::ReleasedBeforeAdopted | Self::OrderNotOnRecord | Self::RevocationNotPassedOn)
    }
}

impl PlantedBug {
    /// Every bug.
    pub(crate) const ALL: [Self; 49] = [
        Self::SequenceNumberLost,
        Self::CompletionAcknowledgedBeforeCommit,
        Self::ReservationAcknowledgedBeforeCommit,
        Self::SerialReused,
        Self::StaleLeaseWritesCrl,
        Self::IdempotencyForgotten,
        Self::TokenUseNotCounted,
        Self::TokenUseNotGivenBack,
        Self::WithdrawnTokenAccepted,
        Self::SecondSuccessorAccepted,
        Self::KeyNotBlocked,
        Self::BlockedKeyCompleted,
        Self::PredecessorNotLookedAt,
        Self::RolesLeftToHeirs,
        Self::AuditEventDropped,
        Self::StaleLeaseChains,
        Self::LeaseTokenRepeated,
        Self::CrlNumberNotRaised,
        Self::BatchSkippedOnResume,
        Self::HoldEndOverwritesRevocation,
        Self::AbandonedReservationCompleted,
        Self::StatusFromStaleCopy,
        Self::RevokedPageLosesLast,
        Self::SequenceBeforeRow,
        Self::OlderListPublished,
        Self::WrongClockUnseen,
        Self::FailOverLosesCommits,
        Self::MessageLostForASink,
        Self::DeliveryForgottenUntaken,
        Self::PendingDeliveryPassed,
        Self::AttemptsCountedTwice,
        Self::StaleLeaseSettles,
        Self::AnswerOutlivesNews,
        Self::AnswerLetInAfterNews,
        Self::RevokerRemembers,
        Self::AnswerOutlivesItself,
        Self::FollowingNotLookedAt,
        Self::SharedAnswerOfChangedSerial,
        Self::SharedAnswerNotVerified,
        Self::AnchorForgetsRow,
        Self::AnchorNotAsked,
        Self::ListNumbersNotRaised,
        Self::PartialNumberNotRaised,
        Self::ShardLosesFirst,
        Self::LostSerialLeftOut,
        Self::OtherOctetsSigned,
        Self::ReleasedBeforeAdopted,
        Self::OrderNotOnRecord,
        Self::RevocationNotPassedOn,
    ];
}
