//! `renewal-window`: when many certificates are to be renewed.

use ca_api::renewal_window::{RenewalScope, RenewalWindowMove};
use ca_core::time::Timestamp;
use ca_engine::flow::renewal_windows::MoveRequest;

use crate::args::{Instant, RenewalWindowCommand, RenewalWindowMoveArgs};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;

/// Moves windows, lists the moves, or withdraws one. `now` is this machine's time.
pub(super) async fn run(
    service: &dyn Service,
    command: &RenewalWindowCommand,
    now: Timestamp,
    printer: &Printer,
) -> Result<Exit, Failure> {
    match command {
        RenewalWindowCommand::Move(args) => {
            let moved = service.move_renewal_windows(request(args, now)).await?;
            printer.result(&moved, |moved| table(std::slice::from_ref(moved), printer))?;
            printer.note("who asks is told within six hours; who does not ask, nothing tells".to_owned());
        }
        RenewalWindowCommand::List => {
            let moves = service.renewal_windows().await?;
            printer.result(&moves, |moves| table(moves, printer))?;
        }
        RenewalWindowCommand::Restore { id } => {
            service.restore_renewal_windows(*id).await?;
            printer.note(format!("move {id} is withdrawn"));
        }
    }
    Ok(Exit::Done)
}

/// The end is counted here; a start or an end of the scope that is left out is the server's now.
fn request(args: &RenewalWindowMoveArgs, now: Timestamp) -> MoveRequest {
    let past = |instant| match instant {
        Instant::At(at) => at,
        Instant::Away(lifetime) => now.minus(lifetime),
    };
    let start = args.start.map(|start| match start {
        Instant::At(at) => at,
        Instant::Away(lifetime) => now.plus(lifetime),
    });
    MoveRequest {
        authority: args.authority.clone(),
        profile: args.profile.clone(),
        certificate: args.certificate,
        issued_after: args.issued_after.map(past),
        issued_before: args.issued_before.map(past),
        start,
        end: start.unwrap_or(now).plus(args.within),
        waves: args.waves,
        explanation_url: args.explanation_url.clone(),
        request_id: None,
    }
}

fn table(moves: &[RenewalWindowMove], printer: &Printer) -> String {
    printer.table(
        ["ID", "SCOPE", "START", "END", "WAVES", "MOVED BY"],
        moves.iter().map(|moved| {
            [
                moved.id.clone(),
                scope(&moved.scope),
                moved.window.start.clone().unwrap_or_default(),
                moved.window.end.clone(),
                moved.waves.to_string(),
                moved.moved_by.clone(),
            ]
        }),
    )
}

fn scope(scope: &RenewalScope) -> String {
    let members = [
        ("authority", &scope.authority),
        ("profile", &scope.profile),
        ("certificate", &scope.certificate),
        ("issued-after", &scope.issued_after),
        ("issued-before", &scope.issued_before),
    ];
    let named = members.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")));
    named.collect::<Vec<_>>().join(" ")
}
