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
mod served_list;
mod state;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

/// A request allocates some thousand times. With the system's allocator a certificate cost a fifth more processor time
/// (`make bench BENCH=https`). Without huge pages: they doubled what an idle service keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let code = command::run(args).unwrap_or_else(|error| {
        command::complain(&error);
        ExitCode::FAILURE
    });
    ca_runtime::close_token_modules();
    code
}
