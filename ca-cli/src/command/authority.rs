//! `authority`: what the authorities are, and on their host what is done with their keys.

use ca_api::authority::{Authority, IssuerElsewhere, IssuerList, PublishedList, RevocationLists};
use ca_core::crl::ParsedCrl;
use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::principal::Principal;
use ca_engine::flow::collect_list::LONGEST_HELD;
use ca_runtime::root_password;
use ca_runtime::seal::Passphrase;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::list::wire_name;
use super::show::lines;
use crate::args::{AuthorityCommand, DestroyKeyArgs, ExportKeyArgs, ExportRootKeyArgs, PublishCrlArgs, RolloverArgs};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::Printer;
use crate::secret_input::SecretSource;
use crate::service::Service;
use crate::service::local::Local;
use crate::settings::Settings;

/// What was written, for programs.
#[derive(Debug, Serialize)]
struct Written {
    authority: String,
    file: std::path::PathBuf,
}

/// Lists the authorities, or shows one.
pub(super) async fn ask(service: &dyn Service, command: &AuthorityCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        AuthorityCommand::Show { id } => {
            printer.result(&service.authority(id).await?, |authority| describe(authority, printer))?;
        }
        _ => {
            let authorities = service.authorities().await?;
            printer.result(&authorities, |authorities| {
                printer.table(
                    ["AUTHORITY", "STATUS", "ISSUED BY", "KEY", "VALID UNTIL", "CRL", "CRL UNTIL", "SUBJECT"],
                    authorities.iter().map(row),
                )
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Does what only the operator of the host may.
pub(super) async fn on_the_host(
    local: &Local,
    command: &AuthorityCommand,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    match command {
        AuthorityCommand::ExportKey(args) => export_key(local, args, settings, printer).await,
        AuthorityCommand::ExportRootKey(args) => export_root_key(local, args, printer).await,
        AuthorityCommand::PublishCrl(args) => publish_crl(local, args, printer).await,
        AuthorityCommand::Rollover(args) => roll_over(local, args, printer).await,
        AuthorityCommand::DestroyKey(args) => destroy_key(local, args, printer).await,
        AuthorityCommand::CompromiseDrill(_) => Err(Failure::Usage(
            "a drill is made at a server, which rotates and revokes: name it with --url or --config".to_owned(),
        )),
        AuthorityCommand::List | AuthorityCommand::Show { .. } => ask(local, command, printer).await,
    }
}

async fn export_key(
    local: &Local,
    args: &ExportKeyArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    refuse_existing(&args.out)?;
    let source = SecretSource {
        what: "the passphrase of the exported key",
        flag: "--passphrase-file",
        file: args.passphrase_file.as_deref(),
        variable: "CA_KEY_PASSPHRASE",
        environment: settings.environment.key_passphrase.as_ref(),
    };
    let passphrase = source.read_or_ask()?;
    let passphrase = Passphrase::new(passphrase.expose_secret(), source.what.to_owned()).map_err(Failure::failed)?;
    let pem =
        local.runtime().export_key(&Principal::LocalOperator, &args.id, &passphrase).await.map_err(Failure::failed)?;
    files::write_secret(&args.out, pem.as_bytes()).map_err(Failure::failed)?;
    tell_written(&args.id, &args.out, printer)
}

async fn export_root_key(local: &Local, args: &ExportRootKeyArgs, printer: &Printer) -> Result<Exit, Failure> {
    refuse_existing(&args.out)?;
    local.runtime().export_root_key(&Principal::LocalOperator, &args.out).await.map_err(Failure::failed)?;
    let root: AuthorityId = ca_runtime::hierarchy::ROOT.parse().map_err(Failure::failed)?;
    tell_written(&root, &args.out, printer)?;
    let password = root_password::beside(&args.out);
    match password.exists() {
        true => printer.note(format!("its password, which KMS wraps, went along: {}", password.display())),
        false => printer.note("it opens with the passphrase of the data folder as before: keep that too, elsewhere"),
    }
    Ok(Exit::Done)
}

async fn publish_crl(local: &Local, args: &PublishCrlArgs, printer: &Printer) -> Result<Exit, Failure> {
    let published = local.runtime().publish_crl_now(&args.id).await.map_err(Failure::failed)?;
    if let Some(out) = &args.out {
        let list = ParsedCrl::from_der(published.der.to_vec().map_err(Failure::failed)?).map_err(Failure::failed)?;
        files::write_public(out, list.as_der()).map_err(Failure::failed)?;
    }
    printer.result(&local.authority(&args.id).await?, |authority| match &authority.crl {
        Some(crl) => format!(
            "published revocation list {} of {} with {} entries, valid until {}",
            crl.number, authority.id, crl.entries, crl.next_update
        ),
        None => String::new(),
    })?;
    Ok(Exit::Done)
}

async fn roll_over(local: &Local, args: &RolloverArgs, printer: &Printer) -> Result<Exit, Failure> {
    let announced = local.runtime().roll_over(&args.id, None, args.issue_after).await.map_err(Failure::failed)?;
    printer.result(&local.authority(&announced.id).await?, |authority| {
        let (id, from, before) = (&authority.id, announced.issues_from, &announced.before);
        format!("made {id} (`{}`), which issues from {from} on; {before} does until then", authority.subject)
    })?;
    printer.note("until then: a backup, which has its key, and its certificate to every gateway");
    Ok(Exit::Done)
}

async fn destroy_key(local: &Local, args: &DestroyKeyArgs, printer: &Printer) -> Result<Exit, Failure> {
    let destroyed = local.runtime().destroy_authority_key(&args.id, &args.confirm).await.map_err(Failure::failed)?;
    printer.result(&local.authority(&args.id).await?, |authority| match destroyed {
        true => format!("destroyed the key of {}; backups that were made before still have it, sealed", authority.id),
        false => format!("the key of {} was destroyed before", authority.id),
    })?;
    Ok(Exit::Done)
}

fn refuse_existing(path: &std::path::Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::of_file(path, "is there already; keys overwrite nothing")),
        Err(_) => Ok(()),
    }
}

fn tell_written(id: &AuthorityId, file: &std::path::Path, printer: &Printer) -> Result<Exit, Failure> {
    let written = Written { authority: id.to_string(), file: file.to_path_buf() };
    printer.result(&written, |written| {
        format!("wrote the encrypted key of {} to {}", written.authority, written.file.display())
    })?;
    Ok(Exit::Done)
}

fn row(authority: &Authority) -> [String; 8] {
    [
        authority.id.clone(),
        wire_name(&authority.status),
        authority.parent.clone().unwrap_or_else(|| "itself".to_owned()),
        key(authority),
        authority.not_after.clone(),
        authority.crl.as_ref().map(|crl| crl.number.to_string()).unwrap_or_default(),
        authority.crl.as_ref().map(|crl| crl.next_update.clone()).unwrap_or_default(),
        authority.subject.clone(),
    ]
}

fn key(authority: &Authority) -> String {
    let away = if authority.key.available { "" } else { ", not here" };
    format!("{} {}{away}", authority.key.kind, wire_name(&authority.key.home))
}

fn describe(authority: &Authority, printer: &Printer) -> String {
    let told = lines(&[
        ("Authority", authority.id.clone()),
        ("Status", wire_name(&authority.status)),
        ("Issues from", authority.issues_from.clone().unwrap_or_default()),
        ("Subject", authority.subject.clone()),
        ("Issued by", authority.parent.clone().unwrap_or_else(|| "itself".to_owned())),
        ("Serial number", authority.serial.clone()),
        ("Valid from", authority.not_before.clone()),
        ("Valid until", authority.not_after.clone()),
        ("Key", key(authority)),
        ("Signs by", authority.key.signature.clone().unwrap_or_default()),
        ("Revocations visible within", authority.revocation_visible_within.clone()),
        ("Longest revocation list", longest_list(authority)),
        ("SHA-256", authority.fingerprint_sha256.clone()),
    ]);
    let told = authority.issuer.as_ref().map_or(told.clone(), |issuer| told + &lines(&issuer_lines(issuer)));
    let lists = list_rows(&authority.revocation_lists);
    if lists.is_empty() {
        let why = match authority.issuer.as_ref().map(|issuer| issuer.list) {
            Some(IssuerList::NotPublished) => {
                ": its issuer is configured to publish none, and OCSP alone tells of revocations"
            }
            Some(IssuerList::NotMadeYet) => ": its issuer has made none yet",
            Some(IssuerList::Unknown) => ": its issuer was not asked for it yet",
            Some(IssuerList::Published) | None => "",
        };
        return format!("{told}\nno revocation list is published{why}\n");
    }
    let header = ["REVOCATION LIST", "NUMBER", "MADE", "UNTIL", "ENTRIES", "OCTETS", "URL"];
    format!("{told}\n{}", printer.table(header, lists))
}

fn issuer_lines(issuer: &IssuerElsewhere) -> [(&'static str, String); 3] {
    let lag = match (issuer.unlisted_revocations, &issuer.unlisted_since) {
        (0, _) => "none".to_owned(),
        (count, Some(since)) => format!("{count}, the first since {since}"),
        (count, None) => count.to_string(),
    };
    [
        ("List made by", "its issuer".to_owned()),
        ("OCSP tells within", issuer.ocsp_visible_within.clone()),
        ("Revocations not on its list", lag),
    ]
}

/// Told where a key sets a bound of its own.
fn longest_list(authority: &Authority) -> String {
    match authority.key.kind == KeyType::Ed25519.as_str() {
        true => format!("{LONGEST_HELD} octets, since a key of Ed25519 signs no digest"),
        false => String::new(),
    }
}

/// The lists by kind. Where there are more shards than are told one by one, a line stands for all of them.
fn list_rows(lists: &RevocationLists) -> Vec<[String; 7]> {
    let of = |name: String, list: &PublishedList| {
        [
            name,
            list.number.to_string(),
            list.this_update.clone(),
            list.next_update.clone(),
            list.entries.to_string(),
            list.octets.to_string(),
            list.url.clone().unwrap_or_default(),
        ]
    };
    let whole = [("complete", &lists.complete), ("delta", &lists.delta)];
    let mut rows: Vec<_> =
        whole.into_iter().filter_map(|(name, list)| Some(of(name.to_owned(), list.as_ref()?))).collect();
    let Some(shards) = &lists.shards else { return rows };
    rows.extend(shards.lists.iter().map(|list| of(format!("shard {}", list.shard.unwrap_or_default()), list)));
    rows.push([
        format!("{} shards together", shards.count),
        String::new(),
        format!("from {}", shards.oldest_this_update),
        shards.first_next_update.clone(),
        shards.entries.to_string(),
        shards.octets.to_string(),
        String::new(),
    ]);
    rows
}
