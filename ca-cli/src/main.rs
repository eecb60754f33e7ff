//! `ca-cli`: the command line of the certificate authority.
//!
//! Reads the command line and the environment, runs one command, and turns what became of it into the exit status.

mod args;
mod command;
mod exit;
mod fetch;
mod files;
mod key;
mod printer;
mod secret_input;
mod service;
mod settings;
mod subject;
mod tls;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::printer::Printer;
use crate::settings::Environment;

fn main() -> ExitCode {
    // Prints help, version and usage errors by itself, with status 0 or 2.
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let printer = Printer::of_process(cli.output, !environment.no_colour);
    let exit = command::run(cli, environment, &printer).unwrap_or_else(|failure| {
        printer.failure(&failure);
        failure.exit()
    });
    ca_runtime::close_token_modules();
    exit.into()
}
