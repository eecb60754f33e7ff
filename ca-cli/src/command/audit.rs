//! `audit`: what happened, and whether the chain of events is whole.

use ca_api::audit::{AuditEvent, AuditFilter};
use ca_api::page::MAXIMUM_LIMIT;
use ca_core::audit::ChainVerifier;
use serde::Serialize;

use super::list::Pages;
use crate::args::{AuditCommand, AuditListArgs};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;

/// What following the chain found.
#[derive(Debug, Serialize)]
struct Report {
    whole: bool,
    events: u64,
    head: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

/// Lists events, or follows the chain.
pub(super) async fn run(service: &dyn Service, command: &AuditCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        AuditCommand::List(args) => list(service, args, printer).await,
        AuditCommand::Verify => verify(service, printer).await,
    }
}

async fn list(service: &dyn Service, args: &AuditListArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut pages = Pages::new(args.limit);
    while let Some(request) = pages.next_request() {
        let filter = AuditFilter {
            after: Some(args.after).filter(|_| request.cursor.is_none()),
            action: args.action.clone(),
            principal: args.principal.clone(),
            subject: args.subject.clone(),
            limit: Some(request.limit),
            cursor: request.cursor,
        };
        pages.add(service.audit_events(&filter).await?);
    }
    let (events, more) = pages.finish();
    printer.result(&events, |events| {
        printer.table(["SEQUENCE", "AT", "ACTION", "BY", "ABOUT", "DETAILS"], events.iter().map(row))
    })?;
    if more {
        let last = events.last().map_or(args.after, |event| event.sequence);
        printer.note(format!("there are more; --after {last} lists the next, --limit 0 all of them"));
    }
    Ok(Exit::Done)
}

/// Follows the chain from its beginning. The hashes are computed here, from what the events say.
async fn verify(service: &dyn Service, printer: &Printer) -> Result<Exit, Failure> {
    let progress = printer.spinner("following the chain");
    let mut verifier = ChainVerifier::default();
    let mut fault = None;
    let mut cursor = None;
    while fault.is_none() {
        let filter = AuditFilter { limit: Some(MAXIMUM_LIMIT), cursor, ..AuditFilter::default() };
        let page = service.audit_events(&filter).await?;
        fault = page.items.iter().find_map(|event| follow(&mut verifier, event).err());
        progress.message(format!("following the chain: {} events", verifier.head().0));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    drop(progress);
    let (events, head) = verifier.head();
    let report = Report { whole: fault.is_none(), events, head: hex::encode(head), fault };
    printer.result(&report, |report| match &report.fault {
        None => format!("the chain of {} events is whole; its head is {}", report.events, report.head),
        Some(fault) => format!("THE CHAIN IS NOT WHOLE after {} events: {fault}", report.events),
    })?;
    Ok(if report.whole { Exit::Done } else { Exit::Failed })
}

fn follow(verifier: &mut ChainVerifier, event: &AuditEvent) -> Result<(), String> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&event.hash, &mut hash).map_err(|_| format!("event {} has no hash", event.sequence))?;
    verifier.next(event.sequence, &canonical(event), &hash).map_err(|fault| fault.to_string())
}

/// The octets that were hashed: JSON with sorted keys and without blanks. The keys stand here in their order, whether
/// serde_json sorts them (its feature `preserve_order`, which some crate may turn on, decides) or not.
fn canonical(event: &AuditEvent) -> Vec<u8> {
    serde_json::json!({
        "action": event.action,
        "at": event.at,
        "details": event.details,
        "principal": event.principal,
        "request_id": event.request_id,
        "subject": event.subject,
    })
    .to_string()
    .into_bytes()
}

fn row(event: &AuditEvent) -> [String; 6] {
    let details: Vec<String> = event.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
    [
        event.sequence.to_string(),
        event.at.clone(),
        event.action.clone(),
        event.principal.clone(),
        event.subject.clone(),
        details.join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use ca_core::audit::{self, AuditAction};
    use ca_core::time::Timestamp;

    use super::*;

    fn events() -> Vec<AuditEvent> {
        let mut previous = audit::GENESIS;
        (1..=3)
            .map(|sequence| {
                let domain = audit::AuditEvent::new(
                    Timestamp::from_unix_millis(1_234),
                    AuditAction::CertificateIssued,
                    "local",
                    format!("certificate:{sequence}"),
                )
                .with("serial", "0a \u{e7} \"quoted\"");
                previous = audit::link(&previous, sequence, &domain.canonical());
                let mut value: serde_json::Value = serde_json::from_slice(&domain.canonical()).expect("JSON");
                value["sequence"] = sequence.into();
                value["hash"] = hex::encode(previous).into();
                serde_json::from_value(value).expect("an event")
            })
            .collect()
    }

    #[test]
    fn the_chain_is_followed_over_what_the_events_say() {
        let mut verifier = ChainVerifier::default();
        for event in events() {
            follow(&mut verifier, &event).expect("whole");
        }
        assert_eq!(verifier.head().0, 3);
    }

    #[test]
    fn a_changed_word_breaks_the_chain() {
        let mut events = events();
        events[1].details.insert("serial".to_owned(), "0b".to_owned());
        let mut verifier = ChainVerifier::default();
        follow(&mut verifier, &events[0]).expect("whole");
        assert!(follow(&mut verifier, &events[1]).expect_err("broken").contains("event 2"));
    }
}
