//! The commands: each a plain function of its arguments, the service it works with and the printer.

mod agent;
mod audit;
mod authority;
mod batch;
mod bootstrap;
mod bulk_revoke;
mod ceremony;
mod drill;
mod enforcement;
mod gateway;
mod issuance;
mod issue;
mod list;
mod managed;
mod manual;
mod outbox;
mod profile;
mod reference;
mod renew;
mod renewal_window;
mod revoke;
mod show;
mod token;
mod verify;
mod worker;

use ca_core::csr::ParsedCsr;
use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_runtime::clock::SystemClock;
use ca_runtime::entropy::SystemEntropy;

use self::reference::Reference;
use crate::args::{AuthorityCommand, Cli, Command};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::secret_input::SecretSource;
use crate::service::Service;
use crate::service::local::{FirstUse, Local};
use crate::service::remote::{Credential, Remote};
use crate::settings::{Environment, Settings, Target};

/// Runs the command that was given.
pub(crate) fn run(cli: Cli, environment: Environment, printer: &Printer) -> Result<Exit, Failure> {
    match &cli.command {
        // These work whatever the configuration says.
        Command::Completions(args) => return manual::completions(args, printer),
        Command::Man(args) => return manual::pages(args, printer),
        _ => {}
    }
    let settings = match &cli.command {
        Command::Bootstrap(_) | Command::Ceremony(_) | Command::Agent(_) => {
            Settings::without_file(&cli.connection, environment)?
        }
        _ => Settings::new(&cli.connection, environment)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(dispatch(cli.command, &settings, printer))
}

async fn dispatch(command: Command, settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        Command::Issue(args) => {
            let credential = match issue::token(&args, settings)? {
                Some(token) => Credential::Token(token),
                None => configured(settings),
            };
            let service = connect(settings, FirstUse::Make, credential, printer).await?;
            let done = issue::run(&*service, &args, settings, printer).await;
            closed(&*service, done).await
        }
        Command::Renew(args) => {
            let reference = Reference::read(&args.certificate)?;
            let service = connect_about(settings, &reference, printer).await?;
            let done = renew::run(&*service, &reference, &args, settings, printer).await;
            closed(&*service, done).await
        }
        Command::Revoke(args) if args.bulk.is_given() => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = bulk_revoke::run(&*service, &args, settings, printer).await;
            closed(&*service, done).await
        }
        Command::Revoke(args) => {
            let certificate =
                args.certificate.as_deref().ok_or_else(|| Failure::Usage("which certificate?".to_owned()))?;
            let reference = Reference::read(certificate)?;
            let service = connect_about(settings, &reference, printer).await?;
            let done = revoke::revoke(&*service, &reference, &args, settings, printer).await;
            closed(&*service, done).await
        }
        Command::Unhold(args) => {
            let reference = Reference::read(&args.certificate)?;
            let service = connect_about(settings, &reference, printer).await?;
            let done = revoke::unhold(&*service, &reference, printer).await;
            closed(&*service, done).await
        }
        Command::Show(args) => {
            let reference = Reference::read(&args.certificate)?;
            if let (Reference::File(file), Target::Nowhere) = (&reference, &settings.target) {
                return show::file(file, printer);
            }
            let service = connect_about(settings, &reference, printer).await?;
            let done = show::run(&*service, &reference, printer).await;
            closed(&*service, done).await
        }
        Command::List(args) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = list::run(&*service, &args, printer).await;
            closed(&*service, done).await
        }
        Command::Verify(args) => match settings.target {
            // Files and the addresses in certificates are enough to verify one.
            Target::Nowhere => verify::run(None, &args, settings, printer).await,
            _ => {
                let service = connect_anonymously(settings, printer).await?;
                let done = verify::run(service.as_deref(), &args, settings, printer).await;
                match service {
                    Some(service) => closed(&*service, done).await,
                    None => done,
                }
            }
        },
        Command::Bootstrap(args) => bootstrap::run(&args, settings, printer).await,
        Command::Authority(command) => authority_command(command, settings, printer).await,
        Command::Profile(command) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = profile::run(&*service, &command, printer).await;
            closed(&*service, done).await
        }
        Command::Token(command) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = token::run(&*service, command, printer).await;
            closed(&*service, done).await
        }
        Command::Audit(command) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = audit::run(&*service, &command, printer).await;
            closed(&*service, done).await
        }
        Command::Outbox(command) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = outbox::run(&*service, &command, printer).await;
            closed(&*service, done).await
        }
        Command::RenewalWindow(command) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = renewal_window::run(&*service, &command, now(), printer).await;
            closed(&*service, done).await
        }
        Command::Managed(command) => {
            let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
            let done = managed::run(&*service, &command, settings, printer).await;
            closed(&*service, done).await
        }
        Command::Ceremony(command) => ceremony::run(&command, printer).await,
        Command::Agent(command) => agent::run(&command, printer).await,
        Command::Gateway(command) => gateway::run(&command, settings, printer).await,
        Command::Worker(args) => worker::run(&args, settings, printer).await,
        Command::Completions(args) => manual::completions(&args, printer),
        Command::Man(args) => manual::pages(&args, printer),
    }
}

async fn authority_command(command: AuthorityCommand, settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    if matches!(command, AuthorityCommand::List | AuthorityCommand::Show { .. }) {
        let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
        let done = authority::ask(&*service, &command, printer).await;
        return closed(&*service, done).await;
    }
    if let (AuthorityCommand::CompromiseDrill(args), Target::Remote(_) | Target::Nowhere) = (&command, &settings.target)
    {
        let service = connect(settings, FirstUse::Refuse, configured(settings), printer).await?;
        let done = drill::run(&*service, args, printer).await;
        return closed(&*service, done).await;
    }
    let Target::Local(folder) = &settings.target else {
        return Err(Failure::Usage(
            "keys and lists are handled on the host that has them: add --local DIR, the data folder".to_owned(),
        ));
    };
    let local = Local::open(folder, FirstUse::Refuse, printer).await?;
    let done = authority::on_the_host(&local, &command, settings, printer).await;
    closed(&local, done).await
}

/// Connects to where the authority is.
async fn connect(
    settings: &Settings,
    first_use: FirstUse,
    credential: Credential,
    printer: &Printer,
) -> Result<Box<dyn Service>, Failure> {
    match &settings.target {
        Target::Local(folder) => Ok(Box::new(Local::open(folder, first_use, printer).await?)),
        Target::Remote(remote) => Ok(Box::new(Remote::new(remote, credential, settings.timeout)?)),
        Target::Nowhere => Err(Failure::Usage(
            "nothing says where the certificate authority is: add --local DIR to work without a server, or --url, or run \
             `ca-cli bootstrap URL --fingerprint …` once"
                .to_owned(),
        )),
    }
}

/// Connects for a command about one certificate. Without a configured client certificate it speaks for itself.
async fn connect_about(
    settings: &Settings,
    reference: &Reference,
    printer: &Printer,
) -> Result<Box<dyn Service>, Failure> {
    let credential = match (configured(settings), reference) {
        (Credential::None, Reference::File(file)) => file.identity().map_or(Credential::None, Credential::Certificate),
        (configured, _) => configured,
    };
    connect(settings, FirstUse::Refuse, credential, printer).await
}

/// Connects for what anyone may ask. A server whose root is not known is passed over: nothing it says could be checked.
async fn connect_anonymously(settings: &Settings, printer: &Printer) -> Result<Option<Box<dyn Service>>, Failure> {
    match &settings.target {
        Target::Remote(remote) if remote.root.is_none() && remote.url.starts_with("https:") => Ok(None),
        _ => connect(settings, FirstUse::Refuse, Credential::None, printer).await.map(Some),
    }
}

fn configured(settings: &Settings) -> Credential {
    match &settings.target {
        Target::Remote(remote) => remote.identity.clone().map_or(Credential::None, Credential::Certificate),
        Target::Local(_) | Target::Nowhere => Credential::None,
    }
}

/// Ends the work with a service, whatever came of the command.
async fn closed(service: &dyn Service, done: Result<Exit, Failure>) -> Result<Exit, Failure> {
    let closed = service.close().await;
    // What went wrong first is told.
    let exit = done?;
    closed.map(|()| exit)
}

/// The present instant.
fn now() -> ca_core::time::Timestamp {
    SystemClock.now()
}

/// A key that makes a request safe to repeat.
fn new_idempotency_key() -> Result<String, Failure> {
    let mut octets = [0; 16];
    SystemEntropy::new().fill(&mut octets).map_err(Failure::failed)?;
    Ok(hex::encode(octets))
}

/// The source of the password of a PKCS#12 file.
fn pkcs12_password<'a>(file: Option<&'a std::path::Path>, settings: &'a Settings) -> SecretSource<'a> {
    SecretSource {
        what: "the password of the PKCS#12 file",
        flag: "--p12-password-file",
        file,
        variable: "CA_P12_PASSWORD",
        environment: settings.environment.pkcs12_password.as_ref(),
    }
}

/// Reads a signing request from a file, or from standard input when it is `-`.
fn read_csr(path: &std::path::Path) -> Result<ParsedCsr, Failure> {
    let text = if path == std::path::Path::new("-") {
        std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::Failed(format!("standard input: {error}")))?
    } else {
        std::fs::read_to_string(path).map_err(|error| Failure::of_file(path, error))?
    };
    ParsedCsr::from_pem(&text).map_err(|error| Failure::of_file(path, error))
}
