//! The table of a key ceremony in tests: scripts, requests of a site, passphrases, and commands that have no network.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use ca_e2e::cli::Terminal;
use ca_e2e::stack::Site;
use serde_json::Value;

pub(crate) const SCRIPT: &str = r#"
[ceremony]
title = "Root of Example"
kind = "establish"
operators = ["Ana Souza", "Bruno Lima"]
output = "root-2026"
years = 3
base_url = "BASE_URL"

[root]
subject = "CN=Example Root CA,O=Example"
key = "software:p384"
validity = "7305d"
key_file = "root.key"
passphrase_file = "root.passphrase"

[sealed]
passphrase_file = "sealed.passphrase"

[responders]
passphrase_file = "responders.passphrase"

[[subordinate]]
id = "tls"
csr = "tls.csr"
validity = "1826d"
purposes = ["serverAuth", "clientAuth"]

[[subordinate]]
id = "document"
csr = "document.csr"
validity = "1826d"
purposes = ["documentSigning", "emailProtection"]
"#;

pub(crate) const EMERGENCY: &str = r#"
[ceremony]
title = "The document authority is compromised"
kind = "continue"
operators = ["Ana Souza", "Bruno Lima"]
output = "emergency-2026"
years = 2

[root]
key_file = "root.key"
passphrase_file = "root.passphrase"
previous = "root-2026"

[sealed]
passphrase_file = "sealed.passphrase"

[responders]
passphrase_file = "responders.passphrase"

[[revoke]]
certificate = "root-2026/document.crt"
reason = "keyCompromise"
"#;

/// A folder with a script, the requests of a site, and passphrases; whose commands have no network.
pub(crate) fn table(site: &Site) -> anyhow::Result<Terminal> {
    let mut terminal = connected_table(site)?;
    let is_root = ca_e2e::tools::run("id", ["-u"], Path::new("/"))?.text().trim() == "0";
    terminal.start_through(match is_root {
        true => &["unshare", "--net", "--"],
        false => &["unshare", "--user", "--map-root-user", "--net", "--"],
    });
    Ok(terminal)
}

/// The same with a network, as a key in KMS needs one.
pub(crate) fn connected_table(site: &Site) -> anyhow::Result<Terminal> {
    let terminal = Terminal::new()?;
    let requests = terminal.folder().display().to_string();
    let (succeeded, said) = site.run(&["init", "--external-root", "--requests", &requests])?;
    ensure!(succeeded, "{said}");
    terminal.write("script.toml", &SCRIPT.replace("BASE_URL", &site.public_url()))?;
    for name in ["root", "sealed", "responders"] {
        terminal.write(&format!("{name}.passphrase"), &format!("the passphrase of {name}\n"))?;
    }
    Ok(terminal)
}

/// The fingerprint that people type.
pub(crate) fn fingerprint(terminal: &Terminal, script: &str) -> anyhow::Result<String> {
    let planned: Value = terminal.json(&["ceremony", "plan", script])?;
    Ok(planned["fingerprint"].as_str().context("no fingerprint")?.to_owned())
}

pub(crate) fn carry_out(terminal: &Terminal, script: &str, more: &[&str]) -> anyhow::Result<String> {
    let typed = format!("{}\n", fingerprint(terminal, script)?);
    Ok(terminal.run_typing(&[&["ceremony", "run", script], more].concat(), &typed)?.ended_with(0)?.said())
}

pub(crate) fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    names.sort();
    Ok(names)
}

pub(crate) fn done(site: &Site, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(succeeded, "{arguments:?}: {said}");
    Ok(said)
}
