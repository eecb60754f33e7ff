//! `managed status`: how the whole of them stands, once or until nothing is due.

use std::time::Duration;

use ca_api::managed::ManagedStatus;

use crate::args::ManagedStatusArgs;
use crate::exit::Failure;
use crate::printer::Printer;
use crate::service::Service;

/// How often it is looked again.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How many characters the bar has.
const BAR: u64 = 40;

pub(super) async fn run(service: &dyn Service, args: &ManagedStatusArgs, printer: &Printer) -> Result<(), Failure> {
    let mut status = service.managed_status().await?;
    if args.watch {
        let progress = printer.counter(status.active, "in order");
        while status.due > 0 {
            progress.place(in_order(&status));
            progress.message(message(&status));
            tokio::time::sleep(BETWEEN_LOOKS).await;
            status = service.managed_status().await?;
        }
    }
    printer.result(&status, describe)
}

/// For how many nothing is to be done now.
const fn in_order(status: &ManagedStatus) -> u64 {
    status.active.saturating_sub(status.due)
}

fn message(status: &ManagedStatus) -> String {
    let failing = if status.failing > 0 { format!(", {} failing", status.failing) } else { String::new() };
    format!("{} due{failing}, {} an hour", status.due, status.rotations_per_hour)
}

fn describe(status: &ManagedStatus) -> String {
    let done = in_order(status);
    let filled = (done * BAR).checked_div(status.active).unwrap_or(BAR);
    let bar: String = (0..BAR).map(|place| if place < filled { '#' } else { '-' }).collect();
    let mut text = format!("[{bar}] {done} of {} in order\n", status.active);
    text.push_str(&format!(
        "{} due, {} being rotated, {} failing, {} paused\n{} rotations an hour",
        status.due, status.rotating, status.failing, status.paused, status.rotations_per_hour
    ));
    match &status.done_at {
        Some(done_at) => text.push_str(&format!("; what is due is done at about {done_at}\n")),
        None => text.push('\n'),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_how_much_is_in_order_and_when_the_rest_will_be() {
        let status = ManagedStatus {
            active: 500,
            paused: 3,
            due: 125,
            rotating: 20,
            failing: 2,
            rotations_per_hour: 720,
            done_at: Some("2026-11-20T12:10:00.000Z".to_owned()),
        };
        let text = describe(&status);
        assert!(text.starts_with("[##############################----------] 375 of 500 in order\n"), "{text}");
        assert!(text.contains("125 due, 20 being rotated, 2 failing, 3 paused"), "{text}");
        assert!(
            text.ends_with("720 rotations an hour; what is due is done at about 2026-11-20T12:10:00.000Z\n"),
            "{text}"
        );
        let none = ManagedStatus {
            active: 0,
            paused: 0,
            due: 0,
            rotating: 0,
            failing: 0,
            rotations_per_hour: 0,
            done_at: None,
        };
        assert!(describe(&none).starts_with("[########################################] 0 of 0 in order\n"));
    }
}
