//! How many gateways enforce a revocation: `revoke --wait` and `gateway list`.

use std::collections::BTreeSet;
use std::time::Duration;

use ca_api::certificate::Certificate as Record;
use ca_api::gateway::{Gateway, ListComparison};
use ca_core::certificate::Certificate;
use ca_core::id::BulkRevocationId;
use ca_core::time::{Lifetime, Timestamp};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::service::Service;

/// What became of a revocation at the gateways.
#[derive(Debug, Serialize)]
pub(super) struct Enforcement {
    /// The number of the first list that has it; absent when none was made in time.
    list: Option<u64>,
    /// The gateways that say that they judge by that list or a later one.
    enforced_by: Vec<String>,
    /// Those that said something within the last five minutes, but not that.
    missing: Vec<String>,
    /// Those of them that judge by other octets than the service's list of that number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_octets: Vec<String>,
    /// How long it took until the last of them said so, in seconds; until it was given up, otherwise.
    seconds: f64,
}

impl Enforcement {
    /// Whether every gateway enforces it, and there is one.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty() && !self.enforced_by.is_empty()
    }

    /// `enforced on 3/3 gateways in 1.8 s`
    pub(super) fn describe(&self) -> String {
        let (enforced, all) = (self.enforced_by.len(), self.enforced_by.len() + self.missing.len());
        if all == 0 {
            return format!("no gateway has said within the last {TALKING} what it enforces");
        }
        let how = if self.is_complete() { "in" } else { "after" };
        let mut text = format!("enforced on {enforced}/{all} gateways {how} {:.1} s", self.seconds);
        if !self.missing.is_empty() {
            let missing: Vec<String> = self.missing.iter().map(|id| plain(id)).collect();
            text.push_str(&format!("; not on {}", missing.join(", ")));
        }
        if !self.other_octets.is_empty() {
            let other: Vec<String> = self.other_octets.iter().map(|id| plain(id)).collect();
            text.push_str(&format!("; {} runs by a list that is not this service's of that number", other.join(", ")));
        }
        text
    }

    fn new(list: Option<u64>, authority: &str, gateways: &[Gateway], began: Timestamp, now: Timestamp) -> Self {
        let (mut enforced_by, mut missing, mut other_octets) = (Vec::new(), Vec::new(), Vec::new());
        for gateway in gateways.iter().filter(|gateway| is_talking(gateway, now)) {
            // A gateway without this authority's list accepts none of its clients.
            let Some(there) = gateway.lists.iter().find(|list| list.authority == authority) else { continue };
            if there.octets == ListComparison::Other {
                other_octets.push(gateway.id.clone());
            }
            match list {
                // Whose octets are not known is not proved to have the revocation; a newer list tells soon.
                Some(number) if there.number >= number && there.octets == ListComparison::Same => {
                    enforced_by.push(gateway.id.clone());
                }
                _ => missing.push(gateway.id.clone()),
            }
        }
        let seconds = (now.unix_millis().saturating_sub(began.unix_millis())) as f64 / 1000.0;
        Self { list, enforced_by, missing, other_octets, seconds }
    }
}

/// Waits until every gateway enforces the revocation of `record`, for `limit` at most. `began` is when it was asked for.
pub(super) async fn wait(
    service: &dyn Service,
    record: &Record,
    began: Timestamp,
    limit: Lifetime,
) -> Result<Enforcement, Failure> {
    let certificate = Certificate::from_pem(&record.certificate).map_err(Failure::failed)?;
    let authority = record.authority.parse().map_err(|_| Failure::failed("the service answered an id that is none"))?;
    let mut looked_at = None;
    let mut list = None;
    loop {
        if list.is_none() {
            // Lists are large: each is read once.
            let newest = service.authority(&authority).await?.crl.map(|crl| crl.number);
            if newest.is_some() && newest != looked_at {
                looked_at = newest;
                list = number_of_list(service, &certificate).await?;
            }
        }
        let enforcement = Enforcement::new(list, authority.as_str(), &service.gateways().await?, began, super::now());
        if enforcement.is_complete() || super::now().since(began) >= limit {
            return Ok(enforcement);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// What became of a bulk revocation at the gateways, for one of its authorities.
#[derive(Debug, Serialize)]
pub(super) struct OfAuthority {
    /// The authority's id.
    pub(super) authority: String,
    #[serde(flatten)]
    pub(super) enforcement: Enforcement,
}

impl OfAuthority {
    /// As [`Enforcement::describe`].
    pub(super) fn describe(&self) -> String {
        self.enforcement.describe()
    }
}

/// Waits until every gateway enforces a bulk revocation that is completed, for `limit` at most. `began` is when it was asked for.
pub(super) async fn wait_for_bulk(
    service: &dyn Service,
    id: BulkRevocationId,
    began: Timestamp,
    limit: Lifetime,
) -> Result<Vec<OfAuthority>, Failure> {
    let waits_since = super::now();
    loop {
        let there = service.bulk_revocation(id).await?;
        let gateways = service.gateways().await?;
        let now = super::now();
        let authorities: BTreeSet<&String> = there.shares.iter().map(|share| &share.authority).collect();
        let enforcement: Vec<OfAuthority> = authorities
            .into_iter()
            .map(|authority| {
                let list = there.lists.iter().find(|list| list.authority == *authority).map(|list| list.number);
                let enforcement = Enforcement::new(list, authority, &gateways, began, now);
                OfAuthority { authority: authority.clone(), enforcement }
            })
            .collect();
        let everywhere = enforcement.iter().all(|one| one.enforcement.is_complete());
        if everywhere || now.since(waits_since) >= limit {
            return Ok(enforcement);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// The number of the newest list of its issuer, if that has the certificate.
async fn number_of_list(service: &dyn Service, certificate: &Certificate) -> Result<Option<u64>, Failure> {
    let lists = service.revocation_lists().await?;
    let mut lists = lists.iter().filter(|list| list.issuer() == certificate.issuer() && !list.is_delta());
    Ok(lists.find(|list| list.find(certificate.serial()).is_some()).and_then(|list| list.number()))
}

/// Lists the gateways.
pub(super) async fn list(service: &dyn Service, printer: &Printer) -> Result<Exit, Failure> {
    let gateways = service.gateways().await?;
    printer.result(&gateways, |gateways| {
        printer.table(
            ["ID", "LISTS", "STATED AT", "CERTIFICATE", "GENERATION"],
            gateways.iter().map(|gateway| {
                let lists = gateway.lists.iter().map(|list| {
                    let other = if list.octets == ListComparison::Other { "(other octets)" } else { "" };
                    format!("{}:{}{other}", list.authority, list.number)
                });
                [
                    gateway.id.clone(),
                    lists.collect::<Vec<_>>().join(" "),
                    gateway.stated_at.clone(),
                    gateway.certificate.clone(),
                    gateway.generation.chars().take(12).collect(),
                ]
            }),
        )
    })?;
    Ok(Exit::Done)
}

fn is_talking(gateway: &Gateway, now: Timestamp) -> bool {
    Timestamp::parse_rfc3339(&gateway.stated_at).is_ok_and(|at| now.since(at) <= TALKING)
}

/// A gateway speaks each minute; one that was silent for so long is not waited for.
const TALKING: Lifetime = Lifetime::from_seconds(300);
const BETWEEN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use ca_api::gateway::ComparedList;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

    fn gateway(id: &str, authority: &str, number: u64, silent_for: u64) -> Gateway {
        let octets = ListComparison::Same;
        let list = ComparedList { authority: authority.to_owned(), number, sha256: String::new(), octets };
        Gateway {
            id: id.to_owned(),
            certificate: String::new(),
            registered_at: String::new(),
            stated_at: NOW.minus(Lifetime::from_seconds(silent_for)).to_rfc3339(),
            generation: String::new(),
            lists: vec![list],
        }
    }

    fn judge(list: Option<u64>, gateways: &[Gateway]) -> Enforcement {
        Enforcement::new(list, "tls", gateways, NOW.minus(Lifetime::from_seconds(2)), NOW)
    }

    #[test]
    fn every_gateway_that_talks_and_has_the_authority_is_waited_for() {
        let gateways = [
            gateway("a", "tls", 7, 10),
            gateway("b", "tls", 6, 10),
            gateway("silent", "tls", 6, 301),
            gateway("other", "document", 1, 10),
        ];
        let enforcement = judge(Some(7), &gateways);
        assert_eq!(
            (&enforcement.enforced_by[..], &enforcement.missing[..]),
            (&["a".to_owned()][..], &["b".to_owned()][..])
        );
        assert!(!enforcement.is_complete());
        assert_eq!(enforcement.describe(), "enforced on 1/2 gateways after 2.0 s; not on b");
        assert_eq!(judge(Some(6), &gateways).describe(), "enforced on 2/2 gateways in 2.0 s");
        assert_eq!(judge(None, &gateways).enforced_by.len(), 0, "no list has it yet");
    }

    #[test]
    fn a_gateway_that_is_not_proved_to_run_by_the_service_s_list_does_not_count() {
        let mut gateways = [gateway("a", "tls", 8, 10), gateway("b", "tls", 8, 10), gateway("c", "tls", 8, 10)];
        gateways[1].lists[0].octets = ListComparison::Other;
        gateways[2].lists[0].octets = ListComparison::Unknown;
        let enforcement = judge(Some(7), &gateways);
        assert_eq!(
            (&enforcement.missing[..], enforcement.is_complete()),
            (&["b".to_owned(), "c".to_owned()][..], false)
        );
        let told = "enforced on 1/3 gateways after 2.0 s; not on b, c; b runs by a list that is not this service's of that number";
        assert_eq!(enforcement.describe(), told);
    }

    #[test]
    fn no_gateway_is_no_proof() {
        let enforcement = judge(Some(7), &[gateway("silent", "tls", 7, 301)]);
        assert!(!enforcement.is_complete() && enforcement.describe().contains("no gateway has said"));
    }
}
