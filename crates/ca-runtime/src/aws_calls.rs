//! Calls of AWS as metrics tell of them.

/// Calls of AWS so far, of one kind and with one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwsCalls {
    /// The service, as in `kms`.
    pub service: &'static str,
    /// The operation, as in `Sign`.
    pub operation: &'static str,
    /// What became of them, as metrics name it.
    pub outcome: &'static str,
    /// How many.
    pub calls: u64,
    /// What they cost by the price list, in millionths of a US dollar.
    pub micro_dollars: u64,
}
