//! Faults that a test orders, and the log of calls.

use crate::port::store::StoreError;

/// A method of the store port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum StoreMethod {
    Reserve,
    Complete,
    Abandon,
    OpenReservations,
    Certificate,
    CertificateBySerial,
    List,
    Successor,
    Descendants,
    DropExpiredIdempotency,
    Status,
    ChangeStanding,
    RevocationSequence,
    RevocationsAfter,
    RevokedSerials,
    CountRevoked,
    IsKeyBlocked,
    BeginBulkRevocation,
    RepeatedBulkRevocation,
    BulkRevocation,
    BulkRevocations,
    RunningBulkRevocations,
    NextBatch,
    ChangeBatch,
    EndBulkRevocation,
    NewestCrl,
    IntendCrl,
    PublishCrl,
    PublishedCrl,
    PublishedNumbers,
    NewestPartialCrl,
    IntendPartialCrl,
    PublishPartialCrl,
    PublishedPartialCrl,
    PublishedPartialNumbers,
    LastingCrl,
    Authorities,
    AddAuthority,
    ChangeAuthority,
    LastEnd,
    DestroyKey,
    AddKey,
    Key,
    Keys,
    AddResponder,
    Responders,
    Setting,
    SetSetting,
    AppendEvent,
    PendingEvents,
    ChainHead,
    ChainEvents,
    EventsAfter,
    AddToken,
    Token,
    Tokens,
    WithdrawToken,
    Holder,
    Roles,
    RoleBindings,
    GrantRole,
    WithdrawRole,
    Gateways,
    Gateway,
    PutGateway,
    RemoveGateway,
    AddWindowMove,
    WindowMoves,
    RemoveWindowMove,
    NoteRepeatedRenewal,
    AddManaged,
    Managed,
    ManagedByName,
    ManagedByTarget,
    ManagedCertificates,
    ChangeManaged,
    RemoveManaged,
    DueManaged,
    CountManaged,
    AcquireLease,
    ReleaseLease,
    RecordLostSerial,
    LeaveGaps,
    MonthsBefore,
    ReviewMonth,
    RemoveMonth,
    Removed,
    UnassignedMessages,
    AssignMessages,
    DropUnassigned,
    DueDeliveries,
    SettleDeliveries,
    HastenDeliveries,
    Delivery,
    Deliveries,
    ReplayDelivery,
    DropDeliveries,
    Backlog,
    PersonalDataKeys,
    PersonalDataRows,
    AddPersonalDataKey,
    ResealPersonalData,
    SealClearPersonalData,
    DropPersonalDataKeys,
    AuditText,
    EraseAuditText,
    IntendUpstream,
    NameUpstream,
    AdoptSerial,
    OpenUpstream,
    ForgetSettledUpstream,
    DatabaseTime,
    /// [`crate::port::store::Store::access`]
    Access,
}

/// How a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Before the commit: nothing was changed, and this is the error. Not for [`StoreError::Unknown`].
    BeforeCommit(StoreError),
    /// After the commit: the change is there, but the caller gets [`StoreError::Unknown`].
    AcknowledgementLost,
}

/// Faults to come and calls that were.
#[derive(Debug, Default)]
pub(super) struct Faults {
    ordered: Vec<Ordered>,
    outage: Option<String>,
    calls: Vec<StoreMethod>,
}

#[derive(Debug)]
struct Ordered {
    method: StoreMethod,
    /// How many calls of the method until it strikes; 1 is the next.
    countdown: u32,
    fault: StoreFault,
}

impl Faults {
    pub(super) fn order(&mut self, method: StoreMethod, nth: u32, fault: StoreFault) {
        assert!(nth > 0, "calls are counted from 1");
        self.ordered.push(Ordered { method, countdown: nth, fault });
    }

    pub(super) fn set_outage(&mut self, detail: Option<String>) {
        self.outage = detail;
    }

    pub(super) fn calls(&self) -> &[StoreMethod] {
        &self.calls
    }

    /// Logs a call and returns the fault that strikes it.
    pub(super) fn strike(&mut self, method: StoreMethod) -> Option<StoreFault> {
        self.calls.push(method);
        if let Some(detail) = &self.outage {
            return Some(StoreFault::BeforeCommit(StoreError::Unavailable { detail: detail.clone() }));
        }
        for ordered in self.ordered.iter_mut().filter(|ordered| ordered.method == method) {
            ordered.countdown -= 1;
        }
        let due = self.ordered.iter().position(|ordered| ordered.countdown == 0)?;
        Some(self.ordered.remove(due).fault)
    }
}
