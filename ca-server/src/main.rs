//! Cartório CA: the service.
//!
//! `args` says what can be asked, `command` has a room per subcommand, `serve` puts listeners and jobs over an opened
//! runtime, `http` turns octets into flows and back, `job` does what nobody asks for.

mod args;
mod command;
mod crl_files;
mod http;
mod job;
mod listener;
mod serve;
mod state;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match command::run(args) {
        Ok(code) => code,
        Err(error) => {
            command::complain(&error);
            ExitCode::FAILURE
        }
    }
}
