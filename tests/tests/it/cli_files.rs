//! The files that `ca-cli` writes: what they are called, what is never overwritten, PKCS#12, and many at once.

use std::os::unix::fs::PermissionsExt;

use ca_api::certificate::Certificate;
use ca_e2e::cli::Terminal;
use ca_e2e::tools::{openssl, run};

#[test]
fn a_file_that_is_there_is_not_overwritten() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "cliente"])?;
    let before = (terminal.read("cliente.crt")?, terminal.read("cliente.key")?);
    terminal.refused(1, &["issue", "client", "cliente"], &["cliente.crt", "--force"])?;
    assert_eq!(before, (terminal.read("cliente.crt")?, terminal.read("cliente.key")?));
    let listed: Vec<Certificate> = terminal.json(&["list", "--profile", "client"])?;
    assert_eq!(listed.len(), 1, "it is refused before anything is issued");
    terminal.done(&["issue", "client", "cliente", "--force"])?;
    assert_ne!(before, (terminal.read("cliente.crt")?, terminal.read("cliente.key")?));
    Ok(())
}

#[test]
fn a_key_alone_is_not_overwritten_either() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.write("cliente.key", "precious")?;
    terminal.refused(1, &["issue", "client", "cliente"], &["cliente.key", "--force"])?;
    assert_eq!(terminal.read("cliente.key")?, "precious");
    assert!(!terminal.path("cliente.crt").exists());
    Ok(())
}

#[test]
fn another_root_is_not_replaced() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.write("ca.crt", "the root of somebody else")?;
    terminal.refused(1, &["issue", "client", "cliente"], &["ca.crt"])?;
    assert_eq!(terminal.read("ca.crt")?, "the root of somebody else");
    assert!(!terminal.path("cliente.crt").exists() && !terminal.path("cliente.key").exists());
    terminal.done(&["issue", "client", "cliente", "--out", "elsewhere"])?;
    // The same root beside a second certificate is left alone.
    let root = terminal.read("elsewhere/ca.crt")?;
    terminal.done(&["issue", "client", "outro", "--out", "elsewhere"])?;
    assert_eq!(terminal.read("elsewhere/ca.crt")?, root);
    Ok(())
}

#[test]
fn names_that_are_no_file_names() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "server", "*.example.com"])?;
    assert!(terminal.path("_.example.com.crt").exists() && terminal.path("_.example.com.key").exists());
    for name in ["Ana Souza", "spiffe://example.org/web", "../escape", "ca", "."] {
        terminal.refused(2, &["issue", "client", name], &["--file-name"])?;
    }
    terminal.done(&["issue", "client", "Ana Souza", "--san", "ana@example.com", "--file-name", "ana"])?;
    assert!(terminal.path("ana.crt").exists() && terminal.path("ana.key").exists());
    let subject = openssl(["x509", "-in", "ana.crt", "-noout", "-subject"], terminal.folder())?.text();
    assert!(subject.contains("CN = Ana Souza"), "{subject}");
    terminal.refused(2, &["issue", "client", "x", "--file-name", "../x"], &["`/`"])?;
    Ok(())
}

#[test]
fn pkcs12_is_read_by_openssl_and_keytool() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.write("password", "correct horse\n")?;
    terminal.done(&["issue", "client", "cliente", "--p12", "--p12-password-file", "password"])?;
    let mode = std::fs::metadata(terminal.path("cliente.p12"))?.permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let arguments = ["pkcs12", "-in", "cliente.p12", "-passin", "pass:correct horse", "-nodes"];
    let text = openssl(arguments, terminal.folder())?.text();
    assert!(text.contains("BEGIN PRIVATE KEY"), "{text}");
    assert!(text.matches("BEGIN CERTIFICATE").count() >= 2, "leaf and chain: {text}");
    let wrong = ["pkcs12", "-in", "cliente.p12", "-passin", "pass:", "-nodes"];
    assert!(!run("openssl", wrong, terminal.folder())?.succeeded, "not without the password");
    let arguments = ["-list", "-v", "-keystore", "cliente.p12", "-storetype", "PKCS12", "-storepass", "correct horse"];
    let said = run("keytool", arguments, terminal.folder())?;
    assert!(said.succeeded && said.text().contains("PrivateKeyEntry"), "{}", said.all());
    assert!(said.text().contains("chain length: 2") || said.text().contains("chain length: 3"), "{}", said.text());
    Ok(())
}

#[test]
fn a_pkcs12_file_is_never_without_a_password() -> anyhow::Result<()> {
    let mut terminal = Terminal::local()?;
    terminal.write("empty", "\n")?;
    let arguments = ["issue", "client", "cliente", "--p12", "--p12-password-file", "empty"];
    terminal.refused(2, &arguments, &["password", "empty"])?;
    assert!(!terminal.path("cliente.p12").exists() && !terminal.path("cliente.key").exists());
    terminal.refused(2, &["issue", "client", "cliente", "--p12"], &["--p12-password-file"])?;
    terminal.set("CA_P12_PASSWORD", "from the environment");
    terminal.done(&["issue", "client", "cliente", "--p12"])?;
    let arguments = ["pkcs12", "-in", "cliente.p12", "-passin", "pass:from the environment", "-nokeys"];
    openssl(arguments, terminal.folder())?;
    Ok(())
}

#[test]
fn a_file_of_names_gets_a_certificate_a_row_and_goes_on_where_it_stopped() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.write(
        "names.csv",
        "profile,name,sans\nclient,um\nclient,dois\nserver,tres.example.com,tres.example.com,ip:192.0.2.3\n",
    )?;
    terminal.done(&["issue", "--batch", "names.csv", "--out", "certs"])?;
    for name in ["um", "dois", "tres.example.com"] {
        for extension in ["crt", "key"] {
            assert!(terminal.path(&format!("certs/{name}.{extension}")).exists(), "{name}.{extension}");
        }
    }
    let before = terminal.read("certs/um.crt")?;
    terminal.write("names.csv", "client,um\nclient,dois\nclient,quatro\n")?;
    terminal.done(&["issue", "--batch", "names.csv", "--out", "certs"])?;
    assert_eq!(terminal.read("certs/um.crt")?, before, "a row whose files are there is skipped");
    assert!(terminal.path("certs/quatro.crt").exists());
    Ok(())
}

#[test]
fn a_file_of_names_with_faults_tells_them_all_and_issues_nothing() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.write("names.csv", "client,um\nclient\nclient,a b\nclient,um\n")?;
    terminal.refused(2, &["issue", "--batch", "names.csv"], &["line 2", "line 3", "line 4"])?;
    assert!(!terminal.path("um.crt").exists());
    Ok(())
}

#[test]
fn one_row_that_is_refused_does_not_stop_the_others() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.write("names.csv", "client,um\nclient,*.example.com\nclient,tres\n")?;
    terminal.refused(1, &["issue", "--batch", "names.csv"], &["line 2", "wildcard"])?;
    assert!(terminal.path("um.crt").exists() && terminal.path("tres.crt").exists());
    assert!(!terminal.path("_.example.com.crt").exists() && !terminal.path("_.example.com.key").exists());
    Ok(())
}

#[test]
fn completions_and_manual_pages_are_there() -> anyhow::Result<()> {
    let terminal = Terminal::new()?;
    for shell in ["bash", "zsh", "fish"] {
        assert!(terminal.done(&["completions", shell])?.contains("ca-cli"), "{shell}");
    }
    assert!(terminal.done(&["man"])?.contains(".TH ca-cli"));
    terminal.done(&["man", "--out", "pages"])?;
    assert!(terminal.path("pages/ca-cli-issue.1").exists());
    terminal.refused(2, &["isue"], &["issue"])?;
    terminal.refused(2, &["issue", "client"], &["NAME"])?;
    Ok(())
}
