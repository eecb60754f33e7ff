//! `outbox`: events that sinks have not taken.

use ca_api::outbox::{Delivery, DeliveryFilter, DeliveryState as WireState};
use ca_api::page::MAXIMUM_LIMIT;
use ca_core::id::DeliveryId;

use super::list::Pages;
use crate::args::{DeliveryState, OutboxCommand, OutboxListArgs, OutboxReplayArgs};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;

/// Lists deliveries, or has some tried again.
pub(super) async fn run(service: &dyn Service, command: &OutboxCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        OutboxCommand::List(args) => list(service, args, printer).await,
        OutboxCommand::Replay(args) => replay(service, args, printer).await,
    }
}

async fn list(service: &dyn Service, args: &OutboxListArgs, printer: &Printer) -> Result<Exit, Failure> {
    let state = args.state.map(|state| match state {
        DeliveryState::Pending => WireState::Pending,
        DeliveryState::Dead => WireState::Dead,
    });
    let mut pages = Pages::new(args.limit);
    while let Some(request) = pages.next_request() {
        let filter = DeliveryFilter { state, limit: Some(request.limit), cursor: request.cursor };
        pages.add(service.deliveries(&filter).await?);
    }
    let (deliveries, more) = pages.finish();
    printer.result(&deliveries, |deliveries| table(deliveries, printer))?;
    if more {
        printer.note(format!("there are more than {}; --limit 0 lists all of them", args.limit));
    }
    Ok(Exit::Done)
}

async fn replay(service: &dyn Service, args: &OutboxReplayArgs, printer: &Printer) -> Result<Exit, Failure> {
    let ids = if args.all { every_dead_letter(service).await? } else { args.ids.clone() };
    let mut replayed = Vec::new();
    for id in &ids {
        match service.replay_delivery(*id).await {
            Ok(delivery) => replayed.push(delivery),
            Err(failure) => {
                if !replayed.is_empty() {
                    printer.note(format!("{} of {} are replayed; the next was not", replayed.len(), ids.len()));
                }
                return Err(failure);
            }
        }
    }
    printer.result(&replayed, |replayed| table(replayed, printer))?;
    Ok(Exit::Done)
}

/// Read to the end before any is replayed: a replayed one leaves the list.
async fn every_dead_letter(service: &dyn Service) -> Result<Vec<DeliveryId>, Failure> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let filter = DeliveryFilter { state: Some(WireState::Dead), limit: Some(MAXIMUM_LIMIT), cursor };
        let page = service.deliveries(&filter).await?;
        for delivery in &page.items {
            ids.push(delivery.id.parse().map_err(|_| Failure::failed(format!("`{}` is not an id", delivery.id)))?);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            // Oldest first: so they were to be delivered.
            ids.reverse();
            return Ok(ids);
        }
    }
}

fn table(deliveries: &[Delivery], printer: &Printer) -> String {
    printer.table(
        ["ID", "SINK", "STATE", "TOPIC", "CERTIFICATE", "ATTEMPTS", "NEXT ATTEMPT", "LAST ERROR"],
        deliveries.iter().map(|delivery| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            [
                delivery.id.clone(),
                delivery.sink.clone(),
                match delivery.state {
                    WireState::Pending => "pending".to_owned(),
                    WireState::Dead => "dead".to_owned(),
                },
                delivery.topic.clone(),
                text(&delivery.certificate),
                delivery.attempts.to_string(),
                text(&delivery.next_attempt_at),
                text(&delivery.last_error),
            ]
        }),
    )
}
