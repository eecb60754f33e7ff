//! `gateway`: the sidecar of nginx or HAProxy. It keeps their revocation lists fresh, and says what they enforce.

mod alarm;
mod check;
mod good;
mod keeper;
mod metrics;
mod ocsp;
mod place;
mod probe;
mod reload;
mod settings;
mod speaker;

use ca_core::name::DnsName;

use self::alarm::exit_of;
use self::good::GoodList;
use self::keeper::{Keeper, Round};
use self::settings::GatewaySettings;
use super::enforcement;
use crate::args::{GatewayCommand, GatewayRunArgs};
use crate::exit::{Exit, Failure};
use crate::fetch::Fetcher;
use crate::printer::{Printer, plain};
use crate::service::Service;
use crate::service::local::FirstUse;
use crate::settings::Settings;
use crate::tls;

/// Runs the sidecar, or one of its tools.
pub(super) async fn run(command: &GatewayCommand, settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        GatewayCommand::Run(args) => keep(args, settings, printer).await,
        GatewayCommand::Check(args) => check::run(args, printer).await,
        GatewayCommand::List => {
            let service = super::connect(settings, FirstUse::Refuse, super::configured(settings), printer).await?;
            let done = enforcement::list(&*service, printer).await;
            super::closed(&*service, done).await
        }
        GatewayCommand::Remove(args) => {
            let service = super::connect(settings, FirstUse::Refuse, super::configured(settings), printer).await?;
            let done = remove(&*service, &args.gateway, printer).await;
            super::closed(&*service, done).await
        }
    }
}

async fn remove(service: &dyn Service, id: &DnsName, printer: &Printer) -> Result<Exit, Failure> {
    service.remove_gateway(id).await?;
    printer.result(&serde_json::json!({ "removed": id.as_str() }), |_| {
        format!("gateway {} is not on record any more; it comes back when it speaks again", id.as_str())
    })?;
    Ok(Exit::Done)
}

async fn keep(args: &GatewayRunArgs, settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let gateway = GatewaySettings::new(args, settings)?;
    let roots = match &settings.root {
        Some(path) => tls::read_roots(path)?,
        None => Vec::new(),
    };
    let interval = gateway.interval;
    let responder = gateway.ocsp.clone();
    let fetcher = Fetcher::new(tls::client(&roots, None)?, settings.timeout)?;
    let mut keeper = Keeper::new(gateway, roots.clone(), fetcher, printer)?;
    if args.once {
        let round = keeper.round(super::now()).await;
        printer.result(&round, describe)?;
        return Ok(exit_of(&round.findings));
    }
    if let Some(responder) = responder {
        // Redirects and roots are the fetcher's; nobody needs to know who asks.
        ocsp::listen(responder, Fetcher::new(tls::client(&roots, None)?, settings.timeout)?, printer).await?;
    }
    // Every step is whole or not done, so that it may be ended at any time.
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        keeper.round(super::now()).await;
    }
}

fn describe(round: &Round) -> String {
    let mut lines: Vec<String> = round.good.iter().flat_map(|good| good.lists()).map(describe_list).collect();
    lines.push(match (round.changed, round.reloaded) {
        (true, true) => "new lists are in place, and the gateway was told".to_owned(),
        (true, false) => "new lists are in place".to_owned(),
        (false, true) => "the gateway was told of the lists in place".to_owned(),
        (false, false) => "nothing changed".to_owned(),
    });
    if round.stated {
        lines.push("the service knows that the gateway enforces them".to_owned());
    }
    lines.join("\n")
}

fn describe_list(list: &GoodList) -> String {
    format!("{}: list {}, {} entries, until {}", plain(&list.issuer), list.number, list.entries, list.next_update)
}
