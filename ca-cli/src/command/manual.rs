//! `completions` and `man`, made from the same definitions as the help.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::Printer;

/// Prints a completion script.
pub(super) fn completions(args: &CompletionsArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ca-cli", &mut script);
    printer.text(&String::from_utf8(script).map_err(Failure::failed)?)?;
    Ok(Exit::Done)
}

/// Prints ca-cli.1, or writes it and a page for every command.
pub(super) fn pages(args: &ManArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.out else {
        printer.text(&page(&command)?)?;
        return Ok(Exit::Done);
    };
    fs::create_dir_all(folder).map_err(|error| Failure::of_file(folder, error))?;
    let mut written: Vec<PathBuf> = Vec::new();
    write_pages(&command, folder, &mut written)?;
    printer.result(&written, |written| format!("wrote {} pages to {}", written.len(), folder.display()))?;
    Ok(Exit::Done)
}

fn write_pages(command: &clap::Command, folder: &std::path::Path, written: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    files::write_public(&path, page(command)?.as_bytes()).map_err(Failure::failed)?;
    written.push(path);
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        write_pages(subcommand, folder, written)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut roff).map_err(Failure::failed)?;
    String::from_utf8(roff).map_err(Failure::failed)
}
