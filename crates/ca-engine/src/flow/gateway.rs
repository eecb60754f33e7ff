//! What gateways say they enforce.
//!
//! A gateway's id is a DNS name, and whoever holds a certificate for servers that names it speaks for it: so nobody can take
//! another's id, and a renewed certificate speaks on without anybody registering it. A statement is a measurement, not a change
//! that anybody asked for: an event is told when a gateway is new or speaks by another certificate, not each minute for each
//! gateway, which would bury the chain.
//!
//! A number alone does not tell what is enforced: the octets are compared whenever somebody asks, since the list of a number may come to
//! be known later.

use std::collections::BTreeMap;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::name::{DnsName, GeneralName};
use ca_core::principal::Principal;
use ca_core::usage::ExtendedKeyUsage;

use super::query::permit;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{EnforcedList, GatewayRecord, Journal};

/// The longest statement: no gateway trusts more authorities.
pub const MOST_LISTS: usize = 64;

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which configuration it runs by, in its own words.
    pub generation: String,
    /// The lists that it judges by.
    pub lists: Vec<EnforcedList>,
}

/// How the octets that a gateway enforces compare with the list of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListComparison {
    /// They are that list's.
    Same,
    /// They are another's: two lists have one number, or the gateway does not enforce what the service made.
    Other,
    /// The record keeps the newest list only, and this process has not seen that one.
    Unknown,
}

/// A gateway, and what its lists are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedGateway {
    /// What is on record.
    pub record: GatewayRecord,
    /// One for each of its lists, in the same order.
    pub comparisons: Vec<ListComparison>,
}

/// Every gateway, in order of ids.
pub async fn list_gateways(engine: &Engine, principal: &Principal) -> Result<Vec<ComparedGateway>, FlowError> {
    permit(engine, principal, Action::ListGateways, Resource::Service)?;
    let gateways = engine.store().gateways().await?;
    compare(engine, gateways).await
}

/// Takes a gateway from the record that is there no more: nobody waits for what it enforces. One that speaks again is new.
pub async fn remove_gateway(
    engine: &Engine,
    principal: &Principal,
    id: &DnsName,
    request_id: Option<&str>,
) -> Result<(), FlowError> {
    permit(engine, principal, Action::RemoveGateway, Resource::Service)?;
    let id = id.as_str();
    let event =
        AuditEvent::new(engine.now(), AuditAction::GatewayRemoved, principal.reference(), format!("gateway:{id}"))
            .in_request(request_id);
    match engine.store().remove_gateway(id, Journal::of(event)).await? {
        true => Ok(()),
        false => Err(FlowError::new(FlowErrorKind::NotFound, "no gateway of that name is on record")),
    }
}

/// Puts on record what a gateway says; returns how it stands then.
pub async fn report_gateway(
    engine: &Engine,
    principal: &Principal,
    id: &DnsName,
    statement: Statement,
    request_id: Option<&str>,
) -> Result<ComparedGateway, FlowError> {
    // 1. May it speak for this gateway?
    let id = id.as_str();
    let certified = is_certified(engine, principal, id).await?;
    permit(engine, principal, Action::ReportGateway, Resource::Gateway { id, certified })?;
    let Principal::Certificate { id: certificate, .. } = principal else {
        return Err(FlowError::new(FlowErrorKind::AccessDenied, "a gateway speaks by its certificate"));
    };
    // 2. Does it say what can be?
    check(engine, &statement).await?;
    // 3. On record, with an event when somebody new speaks.
    let there = engine.store().gateway(id).await?;
    let spoken_by = there.as_ref().map(|there| there.certificate);
    let now = engine.now();
    let mut lists = statement.lists;
    lists.sort_by(|one, other| one.authority.cmp(&other.authority));
    let gateway = GatewayRecord {
        id: id.to_owned(),
        certificate: *certificate,
        registered_at: there.map_or(now, |there| there.registered_at),
        stated_at: now,
        generation: statement.generation,
        lists,
    };
    let journal = (spoken_by != Some(*certificate)).then(|| {
        let event =
            AuditEvent::new(now, AuditAction::GatewayRegistered, principal.reference(), format!("gateway:{id}"))
                .in_request(request_id);
        Journal::of(match spoken_by {
            Some(before) => event.with("spoken_by_before", format!("certificate:{before}")),
            None => event,
        })
    });
    engine.store().put_gateway(gateway.clone(), spoken_by, journal).await?;
    let comparisons = compare(engine, vec![gateway.clone()]).await?.pop().map(|compared| compared.comparisons);
    Ok(ComparedGateway { record: gateway, comparisons: comparisons.unwrap_or_default() })
}

/// Compares what gateways enforce with the lists of those numbers.
async fn compare(engine: &Engine, gateways: Vec<GatewayRecord>) -> Result<Vec<ComparedGateway>, FlowError> {
    if gateways.is_empty() {
        return Ok(Vec::new());
    }
    let newest: BTreeMap<AuthorityId, u64> = engine.store().published_numbers().await?.into_iter().collect();
    let mut compared = Vec::with_capacity(gateways.len());
    for record in gateways {
        let mut comparisons = Vec::with_capacity(record.lists.len());
        for list in &record.lists {
            comparisons.push(compare_list(engine, &newest, list).await?);
        }
        compared.push(ComparedGateway { record, comparisons });
    }
    Ok(compared)
}

async fn compare_list(
    engine: &Engine,
    newest: &BTreeMap<AuthorityId, u64>,
    list: &EnforcedList,
) -> Result<ListComparison, FlowError> {
    let digest = match newest.get(&list.authority) {
        // The record itself is asked, unless this process has that list from there.
        Some(number) if *number == list.number => {
            let published = engine.published_list(&list.authority, *number).await?;
            published.filter(|published| published.intent.number == *number).map(|published| published.der.sha256())
        }
        _ => None,
    };
    Ok(match digest.or_else(|| engine.published_lists().digest(&list.authority, list.number)) {
        Some(digest) if digest == list.sha256 => ListComparison::Same,
        Some(_) => ListComparison::Other,
        None => ListComparison::Unknown,
    })
}

/// Whether the caller's certificate is one for servers, and names the gateway.
async fn is_certified(engine: &Engine, principal: &Principal, gateway: &str) -> Result<bool, FlowError> {
    let Principal::Certificate { id, .. } = principal else { return Ok(false) };
    let Some(stored) = engine.store().certificate(*id).await? else { return Ok(false) };
    // What cannot be read names nothing.
    let Ok(certificate) = Certificate::from_der(&stored.der) else { return Ok(false) };
    let names_it = |name: &GeneralName| matches!(name, GeneralName::Dns(name) if name.as_str() == gateway);
    let is_for_servers = certificate.extended_key_usage().contains(&ExtendedKeyUsage::SERVER_AUTH);
    Ok(is_for_servers && certificate.names().iter().any(names_it))
}

/// Refuses lists that are nobody's, told twice, or not made yet.
async fn check(engine: &Engine, statement: &Statement) -> Result<(), FlowError> {
    let mut faults = Vec::new();
    let hierarchy = engine.hierarchy();
    let newest = engine.store().published_numbers().await?;
    for (index, list) in statement.lists.iter().enumerate() {
        let mut wrong = |code: &str, member: &str, message: String| {
            faults.push(Fault { code: code.to_owned(), pointer: format!("/lists/{index}/{member}"), message });
        };
        let authority = &list.authority;
        if hierarchy.authorities().iter().all(|known| known.id() != authority) {
            wrong("authority-unknown", "authority", format!("there is no authority `{authority}`"));
        } else if statement.lists[..index].iter().any(|before| before.authority == *authority) {
            wrong("authority-repeated", "authority", format!("`{authority}` has one list only"));
        } else {
            let newest = newest.iter().find(|(known, _)| known == authority).map_or(0, |(_, number)| *number);
            if list.number > newest {
                wrong("list-unknown", "number", format!("the newest list of `{authority}` has the number {newest}"));
            }
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let mut error = FlowError::new(FlowErrorKind::InvalidRequest, "the statement tells of lists that cannot be");
    error.faults = faults;
    Err(error)
}
