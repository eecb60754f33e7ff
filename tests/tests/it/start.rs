//! What keeps `ca-server` from starting, and what it says then.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use ca_e2e::stack::{EMBEDDED, PATIENCE, Site, shared};

/// Runs a command that must fail, with everything that its message must hold.
fn fails(site: &Site, arguments: &[&str], hints: &[&str]) -> anyhow::Result<()> {
    let (succeeded, said) = site.run(arguments)?;
    assert!(!succeeded, "{arguments:?} must fail: {said}");
    for hint in hints {
        assert!(said.contains(hint), "`{hint}` is missing in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    Ok(())
}

#[test]
fn a_port_that_is_taken() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let mut site = Site::initialised(&[])?;
    for (variable, key) in [
        ("CA__LISTEN__API", "listen.api"),
        ("CA__LISTEN__PUBLIC", "listen.public"),
        ("CA__LISTEN__ADMIN", "listen.admin"),
    ] {
        let before = site.set(variable, &address);
        fails(&site, &["serve"], &[&address, key, "choose another port"])?;
        site.set(variable, &before);
    }
    Ok(())
}

#[test]
fn a_wrong_passphrase() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    site.set("CA__SEAL__PASSPHRASE", "not the one it was sealed with");
    fails(&site, &["serve"], &["passphrase"])?;
    site.set("CA__SEAL__PASSPHRASE", "a passphrase of the end-to-end tests");
    site.serve()?.stop()?;
    Ok(())
}

#[test]
fn a_folder_without_a_hierarchy() -> anyhow::Result<()> {
    let site = Site::empty(&[])?;
    fails(&site, &["serve"], &["ca-server init"])
}

#[test]
fn a_folder_that_is_in_use() -> anyhow::Result<()> {
    let stack = shared()?;
    fails(&stack, &["serve"], &["in use by ca-server serve"])?;
    fails(&stack, &["init"], &["in use by ca-server serve"])?;
    fails(&stack, &["admin", "reset"], &["in use by ca-server serve"])?;
    fails(&stack, &["migrate"], &["in use by ca-server serve"])
}

#[test]
fn a_folder_that_others_may_write() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    std::fs::set_permissions(site.data_folder(), std::fs::Permissions::from_mode(0o777))?;
    fails(&site, &["serve"], &["chmod"])
}

#[test]
fn a_configuration_with_faults_tells_them_all() -> anyhow::Result<()> {
    let site = Site::empty(&[
        ("CA__LISTEN__API", "nowhere"),
        ("CA__STATUS__OCSP_VALIDITY", "soon"),
        ("CA__AUTHORITY__TLS__KEY", "software:rsa1024"),
        ("CA__LISSEN__API", "127.0.0.1:1"),
    ])?;
    let hints = ["CA__LISTEN__API", "CA__STATUS__OCSP_VALIDITY", "CA__AUTHORITY__TLS__KEY", "CA__LISSEN__API"];
    fails(&site, &["check-config"], &hints)?;
    fails(&site, &["init"], &hints)
}

#[test]
fn a_configuration_without_faults_is_said_to_be_good() -> anyhow::Result<()> {
    let (succeeded, said) = Site::empty(&[])?.run(&["check-config"])?;
    assert!(succeeded && said.contains("is good"), "{said}");
    Ok(())
}

#[test]
fn a_database_from_a_newer_version() -> anyhow::Result<()> {
    let site = Site::embedded()?;
    let database = site.data_folder().join("ca.db");
    let change = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
        c.execute(\"INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (9999, 'from the future', 1, x'00', 0)\"); c.commit()";
    let said =
        ca_e2e::tools::run("python3", ["-c".as_ref(), change.as_ref(), database.as_os_str()], site.work_folder())?;
    assert!(said.succeeded, "{}", said.all());
    fails(&site, &["serve"], &["newer"])?;
    fails(&site, &["migrate"], &["newer"])
}

#[test]
fn init_again_harms_nothing() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    let before = (site.root_pem()?, site.administrator()?.chain_pem().to_owned());
    let (succeeded, said) = site.run(&["init"])?;
    assert!(succeeded && said.contains("already"), "{said}");
    assert_eq!(before, (site.root_pem()?, site.administrator()?.chain_pem().to_owned()));
    Ok(())
}

#[tokio::test]
async fn dev_makes_everything_and_says_what_to_type_next() -> anyhow::Result<()> {
    let site = Site::empty(&[EMBEDDED])?;
    let mut process = site.start(&["dev"])?;
    let next = process.wait_for_line("next: ca-cli --config", PATIENCE)?;
    assert!(next.contains("admin/cli.toml issue client cliente"), "{next}");
    let said = process.lines().join("\n");
    for told in [&site.api_url(), &site.public_url(), &site.admin_url(), "SHA-256"] {
        assert!(said.contains(told), "`{told}` is missing in: {said}");
    }
    // Certificates of a week at most, and files that only their owner reads.
    let client = ca_e2e::client::Client::new(&site.api_url(), &site.root_pem()?, Some(&site.administrator()?))?;
    let profile: serde_json::Value = client.get("/v1/profiles/server").await?.expect(200)?.json()?;
    assert_eq!(profile["maximum_validity"], "7d");
    for file in ["ca.db", "seal.passphrase", "root/root.key", "admin/admin.key", "api/api.key"] {
        let path = site.data_folder().join(file);
        if file == "seal.passphrase" && !path.exists() {
            // The harness gives a passphrase by the environment.
            continue;
        }
        let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    assert!(process.stop(PATIENCE)?.success());
    Ok(())
}

#[test]
fn dev_listens_on_the_loopback_interface_only() -> anyhow::Result<()> {
    let site = Site::empty(&[("CA__LISTEN__API", "0.0.0.0:0")])?;
    fails(&site, &["dev"], &["loopback"])
}
