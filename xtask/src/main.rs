//! Checks of the house that no compiler makes: `cargo run -q -p xtask -- layers`.
//!
//! Reads manifests and sources of this workspace as text; builds nothing and changes nothing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

mod crates;
mod graph;
mod manifest;
mod modules;
mod rules;
mod source;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["layers"] => {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
            layers(root)
        }
        _ => bail!("usage: cargo run -q -p xtask -- layers"),
    }
}

/// Prints the graph of crates and the graph of modules inside each, then every fault; fails when there is one.
fn layers(root: &Path) -> Result<ExitCode> {
    let rules = rules::Rules::read(&root.join("xtask/layers.toml"))?;
    let members = manifest::members(root)?;

    let mut faults = crates::check(&rules, &members);
    faults.extend(second_clippy_files(&members));
    print!("{}", crates::picture(&rules, &members));
    for member in &members {
        let modules = modules::read(&member.folder.join("src"))
            .with_context(|| format!("the sources of {} cannot be read", member.name))?;
        faults.extend(modules::check(&member.name, &modules, rules.rooms.get(&member.name)));
        print!("{}", modules::picture(&member.name, &modules));
    }

    if faults.is_empty() {
        println!("\nlayers: {} crates, no fault", members.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!();
    for fault in &faults {
        eprintln!("layers: {fault}");
    }
    Ok(ExitCode::FAILURE)
}

/// clippy reads the nearest clippy.toml only: one inside a member silently lifts the bans of the root's.
fn second_clippy_files(members: &[manifest::Member]) -> Vec<String> {
    members
        .iter()
        .flat_map(|member| ["clippy.toml", ".clippy.toml"].map(|file| member.folder.join(file)))
        .filter(|file| file.exists())
        .map(|file| format!("{} lifts the bans of the root's clippy.toml; delete it", file.display()))
        .collect()
}
