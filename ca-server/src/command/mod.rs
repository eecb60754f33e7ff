//! A room per subcommand. People read standard output, machines the log on standard error.

mod admin;
mod authority;
mod backup;
mod check_config;
mod dev;
mod external_root;
mod init;
mod job;
mod kms_keys;
mod migrate;
mod reseal;
mod restore;
mod retention;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use ca_runtime::config::{Config, process_environment};

use crate::args::{AdminCommand, Args, Command, Global};
use crate::telemetry::logs::{self, LogFormat};

/// Runs a subcommand to its end.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let default_format = if matches!(args.command, Command::Dev) { LogFormat::Plain } else { LogFormat::Json };
    logs::start(args.global.log_format.unwrap_or(default_format), &log_filter(&args))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the process cannot start its threads")?;
    runtime.block_on(dispatch(args))
}

/// People who run a one-shot command want its outcome, not its log.
fn log_filter(args: &Args) -> String {
    let quiet = matches!(
        args.command,
        Command::Authority(_)
            | Command::Backup(_)
            | Command::CheckConfig
            | Command::Dev
            | Command::Import { .. }
            | Command::ImportCrl { .. }
            | Command::ImportResponder(_)
            | Command::Init(_)
            | Command::Reseal(_)
            | Command::Restore(_)
    );
    match args.command {
        _ if args.global.log != "info" => args.global.log.clone(),
        // How far a long one has come.
        Command::Job(_) => "warn,progress=info".to_owned(),
        Command::Admin(AdminCommand::Retention { .. }) => "warn".to_owned(),
        _ if quiet => "warn".to_owned(),
        _ => args.global.log.clone(),
    }
}

async fn dispatch(args: Args) -> anyhow::Result<ExitCode> {
    let global = args.global;
    match args.command {
        Command::Dev => dev::dev(&global).await?,
        Command::Init(args) if args.external_root => external_root::init(&global, &args).await?,
        Command::Init(args) => init::init(&global, &args).await?,
        Command::Serve { role } => serve::serve(&global, role).await?,
        Command::Migrate => migrate::migrate(&global).await?,
        Command::Backup(args) => backup::backup(&global, &args).await?,
        Command::Restore(args) => restore::restore(&global, &args).await?,
        Command::Import { files } => restore::import(&global, &files).await?,
        Command::Reseal(args) => reseal::reseal(&global, &args).await?,
        Command::ImportCrl { files } => external_root::import_crls(&global, &files).await?,
        Command::ImportResponder(args) => external_root::import_responder(&global, &args).await?,
        Command::CheckConfig => check_config::check_config(&global)?,
        Command::Job(command) => job::job(&global, command).await?,
        Command::Admin(command) => admin::admin(&global, command).await?,
        Command::Authority(command) => authority::authority(&global, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration, from where the flags and the environment say.
fn load(global: &Global) -> anyhow::Result<Config> {
    Ok(Config::load(global.config.as_deref(), &process_environment())?)
}

/// A line for the person at the terminal. A closed pipe is their wish and no error.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line for the person at the terminal that is no result: on standard error.
fn warn(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Tells why the program ends, with every cause.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {}", with_causes(error));
}

/// An error and its causes, each told once: most of our errors name their cause themselves.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("the disk is full").context("ca.db: the disk is full; make room").context("not opened");
        assert_eq!(with_causes(&error), "not opened: ca.db: the disk is full; make room");
    }
}
