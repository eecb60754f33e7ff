//! A restored record is brought up to its anchor, and everybody's answers are made anew from it.

use ca_core::certificate::Certificate;
use ca_core::principal::Principal;
use ca_engine::error::FlowError;
use ca_engine::flow::establish::equip_authority;
use ca_engine::flow::recover::{Recovered, import};
use ca_engine::flow::restore::{Evidence, RestoreReport, restore};

use crate::local::LocalError;
use crate::open::Runtime;

impl Runtime {
    /// Brings the record up to its anchor and opens it; `None` when nothing was missing. Then makes what relying parties look up:
    /// responders that ended since the backup, and lists, numbered past the gap.
    pub async fn restore_record(&self, evidence: Evidence) -> Result<Option<RestoreReport>, LocalError> {
        let principal = Principal::LocalOperator;
        let report = restore(&self.engine, &principal, &*self.anchor, evidence).await?;
        let now = self.engine.now();
        for authority in self.engine.hierarchy().authorities() {
            if authority.can_sign() && !authority.has_ended(now) {
                equip_authority(&self.engine, &principal, authority.id()).await?;
            }
        }
        self.settle().await?;
        Ok(report)
    }

    /// Takes a certificate (PEM, the first of the text, or DER) back on record that was issued after the backup it comes from.
    pub async fn import_certificate(&self, octets: &[u8]) -> Result<Recovered, LocalError> {
        let malformed = |error: String| {
            LocalError::Flow(FlowError::invalid(
                "malformed-certificate",
                "",
                format!("there is no certificate in it ({error}); give one in PEM or DER"),
            ))
        };
        let certificates = match std::str::from_utf8(octets) {
            Ok(text) if text.contains("-----BEGIN") => {
                Certificate::all_from_pem(text).map_err(|error| malformed(error.to_string()))?
            }
            _ => vec![Certificate::from_der(octets).map_err(|error| malformed(error.to_string()))?],
        };
        // The leaf comes first; what follows it is its chain, which is on record.
        let leaf = certificates.into_iter().next().ok_or_else(|| malformed("it is empty".to_owned()))?;
        Ok(import(&self.engine, &Principal::LocalOperator, leaf.der()).await?)
    }
}
