//! What gateways say they enforce.
//!
//! A gateway's id is a DNS name, and whoever holds a certificate for servers that names it speaks for it: so nobody can take
//! another's id, and a renewed certificate speaks on without anybody registering it. A statement is a measurement, not a change
//! that anybody asked for: an event is told when a gateway is new or speaks by another certificate, not each minute for each
//! gateway, which would bury the chain.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
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

/// Every gateway, in order of ids.
pub async fn list_gateways(engine: &Engine, principal: &Principal) -> Result<Vec<GatewayRecord>, FlowError> {
    permit(engine, principal, Action::ListGateways, Resource::Service)?;
    Ok(engine.store().gateways().await?)
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
) -> Result<GatewayRecord, FlowError> {
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
    Ok(gateway)
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
