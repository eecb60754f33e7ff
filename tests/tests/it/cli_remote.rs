//! `ca-cli` against a server: trusted by a fingerprint, asked by an administrator, a bearer of a token and a holder.

use ca_api::certificate::{Certificate, CertificateStatus};
use ca_api::token::EnrolmentToken;
use ca_e2e::cli::Terminal;
use ca_e2e::stack::{Stack, shared};
use ca_e2e::tools::openssl;

/// A terminal of the first administrator.
pub(crate) fn administrator(stack: &Stack) -> anyhow::Result<Terminal> {
    Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))
}

fn fingerprint(stack: &Stack) -> anyhow::Result<String> {
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("root.pem"), stack.root_pem()?)?;
    let said = openssl(["x509", "-in", "root.pem", "-noout", "-fingerprint", "-sha256"], folder.path())?.text();
    Ok(said.trim().rsplit('=').next().unwrap_or_default().to_owned())
}

/// A terminal of somebody who trusts the server and has no credential yet.
pub(crate) fn newcomer(stack: &Stack) -> anyhow::Result<Terminal> {
    let terminal = Terminal::new()?;
    terminal.done(&["bootstrap", &stack.api_url(), "--fingerprint", &fingerprint(stack)?])?;
    Ok(terminal)
}

#[test]
fn the_administrators_settings_are_all_that_is_needed() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    terminal.done(&["issue", "client", "cli-cliente"])?;
    let arguments = ["verify", "-CAfile", "ca.crt", "-untrusted", "cli-cliente.crt", "cli-cliente.crt"];
    openssl(arguments, terminal.folder())?;
    let shown: Certificate = terminal.json(&["show", "cli-cliente.crt"])?;
    let listed: Vec<Certificate> = terminal.json(&["list", "--name", "cli-cliente"])?;
    assert_eq!(listed, std::slice::from_ref(&shown));
    assert!(terminal.done(&["list"])?.contains(&shown.id));
    assert!(terminal.done(&["verify", "cli-cliente.crt"])?.contains("VALID"));
    terminal.done(&["verify", "cli-cliente.crt", "--ocsp"])?;
    terminal.done(&["verify", "cli-cliente.crt", "--crl"])?;
    terminal.refused(1, &["verify", "cli-cliente.crt", "--purpose", "server"], &["NOT VALID", "serverAuth"])?;

    terminal.done(&["renew", "cli-cliente.crt"])?;
    assert!(terminal.path("cli-cliente.crt.old").exists() && terminal.path("cli-cliente.key.old").exists());
    let successor: Certificate = terminal.json(&["show", "cli-cliente.crt"])?;
    assert_eq!(successor.renews, Some(shown.id));

    terminal.done(&["revoke", "cli-cliente.crt", "--reason", "superseded"])?;
    terminal.refused(1, &["verify", "cli-cliente.crt", "--ocsp"], &["NOT VALID", "superseded"])?;
    terminal.refused(1, &["revoke", "cli-cliente.crt", "--reason", "unspecified"], &["superseded"])?;
    let revoked: Certificate = terminal.json(&["show", &successor.id])?;
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    assert!(terminal.done(&["audit", "verify"])?.contains("whole"));
    assert!(terminal.done(&["audit", "list", "--action", "certificate-issued"])?.contains("certificate-issued"));
    Ok(())
}

#[test]
fn authorities_and_profiles_are_shown() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let authorities = terminal.done(&["authority", "list"])?;
    for id in ["root", "tls", "document"] {
        assert!(authorities.contains(id), "{authorities}");
        terminal.done(&["authority", "show", id])?;
    }
    assert!(terminal.done(&["profile", "list"])?.contains("server"));
    assert!(terminal.done(&["profile", "show", "client"])?.contains("clientAuth"));
    terminal.refused(1, &["authority", "show", "nobody"], &["nobody"])?;
    terminal.refused(1, &["profile", "show", "nothing"], &[])?;
    Ok(())
}

#[test]
fn a_fingerprint_is_enough_to_trust_a_server() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = newcomer(&stack)?;
    let other_spelling = fingerprint(&stack)?.replace(':', "").to_lowercase();
    terminal.done(&["bootstrap", &stack.api_url(), "--fingerprint", &other_spelling])?;
    let config = terminal.read("home/.config/ca-cli/config.toml")?;
    assert!(config.contains(&stack.api_url()), "{config}");
    assert_eq!(terminal.read("home/.config/ca-cli/ca.crt")?, stack.root_pem()?);
    // Trusting is not being trusted: it has no certificate yet.
    terminal.refused(1, &["list"], &["client certificate", "token"])?;
    Ok(())
}

#[test]
fn a_wrong_fingerprint_writes_nothing() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = Terminal::new()?;
    let wrong = "0".repeat(64);
    for url in [stack.api_url(), stack.public_url()] {
        let hints = ["nothing was written", "somebody stands in between"];
        terminal.refused(1, &["bootstrap", &url, "--fingerprint", &wrong], &hints)?;
    }
    assert!(!terminal.path("home").exists());
    terminal.refused(2, &["bootstrap", &stack.api_url(), "--fingerprint", "abc"], &["64"])?;
    terminal.refused(2, &["bootstrap", "nonsense", "--fingerprint", &wrong], &["https://"])?;
    Ok(())
}

#[test]
fn a_machine_enrols_with_a_token_and_renews_by_its_certificate() -> anyhow::Result<()> {
    let stack = shared()?;
    let office = administrator(&stack)?;
    let names = ["--san", "machine.example.test", "--common-name", "machine.example.test"];
    office.done(&[&["token", "create", "server", "--out", "secret"][..], &names].concat())?;
    let secret = office.read("secret")?;
    assert!(secret.starts_with("cet_"));
    let tokens: Vec<EnrolmentToken> = office.json(&["token", "list", "--limit", "0"])?;
    let id = secret.split('_').nth(1).unwrap_or_default();
    assert!(tokens.iter().any(|token| token.id == id && token.uses_left == 1), "{tokens:?}");

    let machine = newcomer(&stack)?;
    machine.write("secret", &secret)?;
    let issue = ["issue", "server", "machine.example.test", "--token-file", "secret"];
    // Backdated by five minutes and good for four: past half of its life from the first second on.
    machine.done(&[&issue[..], &["--validity", "4m"]].concat())?;
    machine.refused(1, &[&issue[..], &["--force"]].concat(), &["ask for a new one"])?;
    let before = machine.read("machine.example.test.crt")?;
    machine.done(&["renew", "machine.example.test.crt"])?;
    assert_ne!(machine.read("machine.example.test.crt")?, before);
    assert_eq!(machine.read("machine.example.test.crt.old")?, before);
    machine.done(&["verify", "machine.example.test.crt"])?;
    Ok(())
}

#[test]
fn a_token_does_not_belong_on_the_command_line() -> anyhow::Result<()> {
    let stack = shared()?;
    let office = administrator(&stack)?;
    office.done(&["token", "create", "client", "--san", "env.example.test", "--out", "secret"])?;
    let secret = office.read("secret")?;
    let mut machine = newcomer(&stack)?;
    machine.refused(2, &["issue", "client", "env.example.test", "--token", secret.trim()], &["--token-file"])?;
    machine.set("CA_TOKEN", secret.trim());
    machine.refused(1, &["issue", "client", "other.example.test"], &["the names it was made for"])?;
    Ok(())
}

#[test]
fn a_withdrawn_token_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let office = administrator(&stack)?;
    let names = ["--san", "gone.example.test", "--common-name", "gone.example.test"];
    office.done(&[&["token", "create", "client", "--out", "secret"][..], &names].concat())?;
    let secret = office.read("secret")?;
    office.done(&["token", "delete", secret.split('_').nth(1).unwrap_or_default()])?;
    let machine = newcomer(&stack)?;
    machine.write("secret", &secret)?;
    machine.refused(1, &["issue", "client", "gone.example.test", "--token-file", "secret"], &["not known"])?;
    assert!(!machine.path("gone.example.test.key").exists(), "no key is left of a refusal");
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_worth_another_try() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = Terminal::new()?;
    terminal.write("ca.crt", &stack.root_pem()?)?;
    let arguments = ["--url", "https://127.0.0.1:1", "--root", "ca.crt", "list"];
    terminal.refused(3, &arguments, &["cannot be reached", "127.0.0.1:1"])?;
    Ok(())
}

#[test]
fn another_servers_root_is_not_trusted() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = Terminal::new()?;
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem"];
    let made = ["req", "-x509", "-subj", "/CN=Other Root", "-out", "other.crt"];
    openssl([&made[..], &curve].concat(), terminal.folder())?;
    let outcome = terminal.run(&["--url", &stack.api_url(), "--root", "other.crt", "list"])?;
    assert!(matches!(outcome.code, Some(1 | 3)), "{outcome:?}");
    assert!(outcome.said().contains("root"), "it says what to look at: {outcome:?}");
    Ok(())
}

#[test]
fn a_command_that_knows_no_server_says_how_to_name_one() -> anyhow::Result<()> {
    let terminal = Terminal::new()?;
    terminal.refused(2, &["list"], &["--url", "--local", "bootstrap"])?;
    Ok(())
}

#[test]
fn every_violation_is_told() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let arguments = ["issue", "client", "x", "--san", "*.example.test", "--validity", "900d"];
    terminal.refused(1, &arguments, &["name each host", "at most 730d"])?;
    assert!(!terminal.path("x.key").exists() && !terminal.path("x.crt").exists());
    terminal.refused(1, &["issue", "sever", "x"], &["client, document, server"])?;
    Ok(())
}
