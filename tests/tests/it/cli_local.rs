//! `ca-cli --local DIR`: without a server, from an empty folder to certificates that others accept.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use ca_api::certificate::{Certificate, CertificateStatus};
use ca_e2e::cli::Terminal;
use ca_e2e::identity::SubjectKey;
use ca_e2e::stack::Site;
use ca_e2e::tools::{openssl, run};

fn mode(terminal: &Terminal, file: &str) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(terminal.path(file))?.permissions().mode() & 0o777)
}

/// OpenSSL accepts the chain for the purpose, and the key is the certificate's.
fn verify(terminal: &Terminal, name: &str, purpose: &str) -> anyhow::Result<()> {
    let certificate = format!("{name}.crt");
    let arguments =
        ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", "-untrusted", &certificate, &certificate];
    openssl(arguments, terminal.folder())?;
    let of_certificate = openssl(["x509", "-in", &certificate, "-noout", "-pubkey"], terminal.folder())?.text();
    let of_key = openssl(["pkey", "-in", &format!("{name}.key"), "-pubout"], terminal.folder())?.text();
    assert_eq!(of_certificate, of_key);
    Ok(())
}

#[test]
fn one_command_in_an_empty_folder_makes_everything() -> anyhow::Result<()> {
    // With the default root, RSA 4096: nothing is configured.
    let terminal = Terminal::new()?;
    let outcome = terminal.run(&["--local", "./pki", "issue", "client", "cliente"])?.ended_with(0)?;
    for told in ["cliente.crt", "cliente.key", "ca.crt", "export-root-key"] {
        assert!(outcome.said().contains(told), "`{told}` is missing in {outcome:?}");
    }
    let files: BTreeSet<String> = std::fs::read_dir(terminal.folder())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    assert_eq!(files, ["ca.crt", "cliente.crt", "cliente.key", "pki"].map(str::to_owned).into());
    assert_eq!(mode(&terminal, "cliente.key")?, 0o600);
    assert_eq!(mode(&terminal, "pki")?, 0o700);
    verify(&terminal, "cliente", "sslclient")?;
    let root = openssl(["x509", "-in", "ca.crt", "-noout", "-text"], terminal.folder())?.text();
    assert!(root.contains("Public-Key: (4096 bit)"), "{root}");
    assert!(terminal.read("cliente.key")?.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8");

    // What is said once is not said again.
    let again = terminal.run(&["--local", "./pki", "issue", "client", "outro"])?.ended_with(0)?;
    assert!(!again.said().contains("export-root-key"), "{again:?}");
    Ok(())
}

#[test]
fn a_server_certificate_has_the_names_that_were_asked_for() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    let names = ["--san", "api.example.com", "--san", "ip:10.0.0.7", "--san", "uri:spiffe://example.org/api"];
    terminal.done(&[&["issue", "server", "api.example.com"][..], &names].concat())?;
    verify(&terminal, "api.example.com", "sslserver")?;
    let arguments = ["x509", "-in", "api.example.com.crt", "-noout", "-ext", "subjectAltName"];
    let text = openssl(arguments, terminal.folder())?.text();
    for name in ["DNS:api.example.com", "IP Address:10.0.0.7", "URI:spiffe://example.org/api"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    Ok(())
}

#[test]
fn a_name_without_san_becomes_one_of_its_kind() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    for (name, san) in [
        ("cliente", "DNS:cliente"),
        ("host.example.com", "DNS:host.example.com"),
        ("ana@example.com", "email:ana@example.com"),
        ("192.0.2.9", "IP Address:192.0.2.9"),
    ] {
        terminal.done(&["issue", "client", name])?;
        let arguments = ["x509", "-in", &format!("{name}.crt"), "-noout", "-ext", "subjectAltName"];
        let text = openssl(arguments, terminal.folder())?.text();
        assert!(text.contains(san), "{name}: {text}");
    }
    Ok(())
}

#[test]
fn every_kind_of_key_is_made() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    for kind in ["rsa2048", "p256", "p384", "p521", "ed25519"] {
        let name = format!("key-{kind}");
        terminal.done(&["issue", "client", &name, "--key-type", kind])?;
        verify(&terminal, &name, "sslclient")?;
        assert_eq!(mode(&terminal, &format!("{name}.key"))?, 0o600);
    }
    terminal.refused(2, &["issue", "client", "weak", "--key-type", "rsa1024"], &["rsa2048"])?;
    Ok(())
}

#[test]
fn a_foreign_request_is_certified_without_a_key() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    let key = SubjectKey::generate()?;
    terminal.write("their.csr", &key.csr("their.example.com", &["their.example.com"])?)?;
    terminal.write("their.example.com.key", &key.to_pem())?;
    terminal.done(&["issue", "server", "their.example.com", "--csr", "their.csr", "--out", "issued"])?;
    assert!(!terminal.path("issued/their.example.com.key").exists(), "no key was made");
    std::fs::rename(terminal.path("issued/their.example.com.crt"), terminal.path("their.example.com.crt"))?;
    std::fs::rename(terminal.path("issued/ca.crt"), terminal.path("ca.crt"))?;
    verify(&terminal, "their.example.com", "sslserver")
}

#[test]
fn what_is_on_record_is_listed_shown_renewed_and_revoked() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "cliente"])?;
    let shown: Certificate = terminal.json(&["show", "cliente.crt"])?;
    for name in [shown.id.clone(), shown.serial.clone(), format!("tls:{}", shown.serial)] {
        assert_eq!(terminal.json::<Certificate>(&["show", &name])?, shown);
    }
    let listed: Vec<Certificate> = terminal.json(&["list", "--profile", "client"])?;
    assert_eq!(listed, std::slice::from_ref(&shown));
    let found: Vec<Certificate> = terminal.json(&["list", "--name", "cliente"])?;
    assert_eq!(found, std::slice::from_ref(&shown));

    terminal.done(&["renew", "cliente.crt"])?;
    verify(&terminal, "cliente", "sslclient")?;
    let successor: Certificate = terminal.json(&["show", "cliente.crt"])?;
    assert_eq!(successor.renews, Some(shown.id.clone()));

    assert!(terminal.done(&["verify", "cliente.crt"])?.contains("VALID"));
    terminal.done(&["revoke", "cliente.crt", "--reason", "certificateHold"])?;
    terminal.refused(1, &["verify", "cliente.crt"], &["NOT VALID", "certificateHold"])?;
    terminal.done(&["unhold", "cliente.crt"])?;
    terminal.done(&["verify", "cliente.crt"])?;
    terminal.done(&["revoke", "cliente.crt", "--reason", "keyCompromise"])?;
    terminal.refused(1, &["verify", "cliente.crt"], &["NOT VALID", "keyCompromise"])?;
    terminal.refused(1, &["unhold", "cliente.crt"], &["keyCompromise"])?;
    let revoked: Certificate = terminal.json(&["show", "cliente.crt"])?;
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    assert!(terminal.done(&["audit", "verify"])?.contains("whole"));
    Ok(())
}

#[test]
fn the_list_in_the_folder_is_the_one_that_openssl_judges_by() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "cliente"])?;
    terminal.done(&["issue", "client", "outro"])?;
    terminal.done(&["revoke", "outro.crt", "--reason", "superseded"])?;
    openssl(["crl", "-inform", "DER", "-in", "pki/crl/tls.crl", "-out", "tls.pem"], terminal.folder())?;
    let judge = |certificate: &str| {
        let arguments = ["verify", "-crl_check", "-CAfile", "ca.crt", "-untrusted", certificate, "-CRLfile", "tls.pem"];
        run("openssl", [&arguments[..], &[certificate]].concat(), terminal.folder())
    };
    let good = judge("cliente.crt")?;
    assert!(good.succeeded, "{}", good.all());
    let revoked = judge("outro.crt")?;
    assert!(!revoked.succeeded && revoked.all().contains("certificate revoked"), "{}", revoked.all());
    Ok(())
}

#[test]
fn the_roots_key_can_be_moved_away_and_is_not_missed() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "cliente"])?;
    terminal.done(&["authority", "export-root-key", "--out", "root-away.key"])?;
    assert!(!terminal.path("pki/root/root.key").exists() && terminal.path("root-away.key").exists());
    assert_eq!(mode(&terminal, "root-away.key")?, 0o600);
    let passphrase = format!("file:{}", terminal.path("pki/seal.passphrase").display());
    let arguments = ["pkey", "-in", "root-away.key", "-passin", &passphrase, "-pubout"];
    let of_key = openssl(arguments, terminal.folder())?.text();
    let of_root = openssl(["x509", "-in", "ca.crt", "-noout", "-pubkey"], terminal.folder())?.text();
    assert_eq!(of_key, of_root, "the key is the root's, and openssl opens it");
    terminal.done(&["issue", "client", "depois"])?;
    verify(&terminal, "depois", "sslclient")?;
    terminal.done(&["revoke", "depois.crt"])?;
    Ok(())
}

#[test]
fn a_folder_that_is_in_use_by_a_server_is_refused_until_the_server_lets_go_of_it() -> anyhow::Result<()> {
    let stack = Site::initialised(&[])?.serve()?;
    let terminal = Terminal::new()?;
    let folder = stack.data_folder().display().to_string();
    let command = ["--local", &folder, "issue", "client", "cliente"];
    terminal.refused(3, &command, &["in use by ca-server serve", "process"])?;
    assert!(!terminal.path("cliente.key").exists(), "nothing was written");
    let site = stack.stop()?;
    let mut terminal = Terminal::new()?;
    for (name, value) in site.environment() {
        terminal.set(name, value);
    }
    terminal.done(&command)?;
    verify(&terminal, "cliente", "sslclient")?;
    site.serve()?.stop()?;
    Ok(())
}

#[test]
fn a_folder_that_others_may_write_is_refused() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "cliente"])?;
    std::fs::set_permissions(terminal.path("pki"), std::fs::Permissions::from_mode(0o775))?;
    terminal.refused(1, &["issue", "client", "outro"], &["chmod"])?;
    Ok(())
}

#[test]
fn a_folder_whose_server_was_killed_is_worked_on_at_once() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?.serve()?.kill();
    let mut terminal = Terminal::new()?;
    for (name, value) in site.environment() {
        terminal.set(name, value);
    }
    let folder = site.data_folder().display().to_string();
    terminal.done(&["--local", &folder, "issue", "client", "cliente"])?;
    terminal.done(&["--local", &folder, "revoke", "cliente.crt"])?;
    assert!(terminal.done(&["--local", &folder, "audit", "verify"])?.contains("whole"));
    Ok(())
}
