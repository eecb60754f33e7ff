//! Key ceremonies whose root's key is in no file: in a token on the machine of the ceremony, and in AWS KMS, which it reaches. Judged by
//! openssl.

use anyhow::{Context, ensure};
use ca_e2e::at_sync::AtSync;
use ca_e2e::cli::Terminal;
use ca_e2e::stack::Site;
use ca_e2e::token_keys::TokenKeys;
use ca_e2e::tools::openssl;
use ca_test_doubles::{KeySpec, KmsDouble};
use ca_test_services::SoftHsm;

use crate::ceremony_table::{EMERGENCY, SCRIPT, carry_out, connected_table, done, fingerprint, names, table};

/// What a script says of a key in a file.
const IN_A_FILE: &str = "key_file = \"root.key\"\npassphrase_file = \"root.passphrase\"\n";

/// Writes a script and its emergency for a root's key that is elsewhere.
fn write_scripts(terminal: &Terminal, site: &Site, key: &str, new: &str) -> anyhow::Result<()> {
    let script = SCRIPT.replace("BASE_URL", &site.public_url()).replace(IN_A_FILE, "");
    terminal.write("script.toml", &script.replace("key = \"software:p384\"\n", &format!("{key}{new}")))?;
    terminal.write("emergency.toml", &EMERGENCY.replace(IN_A_FILE, key))
}

/// What openssl says of what the root's key, of P-384, has signed: list `number`, its responder, an authority, the transcript.
fn is_of_the_roots_key(terminal: &Terminal, folder: &str, number: u64) -> anyhow::Result<()> {
    let folder = terminal.path(folder);
    let openssl = |arguments: &[&str]| openssl(arguments, &folder);
    openssl(&["x509", "-in", "root.crt", "-noout", "-pubkey", "-out", "../root.pub"])?;
    let how = ["dgst", "-sha384", "-verify", "../root.pub", "-signature", "transcript.sig"];
    ensure!(openssl(&[&how[..], &["transcript.statement"]].concat())?.text().contains("Verified OK"));
    let list = format!("root-{number}.crl");
    let said = openssl(&["crl", "-in", &list, "-inform", "DER", "-CAfile", "root.crt", "-noout"])?.all();
    ensure!(said.contains("verify OK"), "{said}");
    openssl(&["verify", "-x509_strict", "-CAfile", "root.crt", "../root-2026/tls.crt"])?;
    openssl(&["verify", "-CAfile", "root.crt", &format!("responder-{number}.crt")]).map(drop)
}

#[test]
fn a_root_whose_key_never_leaves_its_token_signs_the_same_ceremony() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let site = Site::empty(&[])?;
    let mut terminal = table(&site)?;
    terminal.set(SoftHsm::VARIABLE, &token.hsm.configuration().display().to_string());
    let way = format!("module-path={}&pin-source=file:{}", SoftHsm::MODULE, token.hsm.pin_file().display());
    let key = |object: &str| format!("key = \"pkcs11:token={};object={object}?{way}\"\n", TokenKeys::LABEL);
    write_scripts(&terminal, &site, &key("root-ca"), "key_type = \"p384\"\n")?;
    std::fs::remove_file(terminal.path("root.passphrase"))?;

    // A rehearsal asks the token, and leaves nothing in it.
    let empty = token.hsm.objects(TokenKeys::LABEL)?;
    carry_out(&terminal, "script.toml", &["--rehearsal"])?;
    ensure!(token.hsm.objects(TokenKeys::LABEL)? == empty, "a rehearsal made a key");
    let said = carry_out(&terminal, "script.toml", &[])?;
    ensure!(said.contains("with the root's key in a token, pkcs11:token=hsm;object=root-ca\n"), "{said}");
    ensure!(token.hsm.objects(TokenKeys::LABEL)?.contains("root-ca") && !terminal.path("root.key").exists());
    ensure!(names(&terminal.path("root-2026"))? == names(&terminal.path("root-2026-rehearsal"))?);
    is_of_the_roots_key(&terminal, "root-2026", 1)?;
    let transcript = terminal.read("root-2026/transcript.jsonl")?;
    ensure!(transcript.matches("\"held\":\"pkcs11:token=hsm;object=root-ca\"").count() == 2, "{transcript}");
    ensure!(!transcript.contains(SoftHsm::PIN) && !transcript.contains("pin-source") && !said.contains(SoftHsm::PIN));

    // A second root does not take the first one's key for its own.
    terminal.write("second.toml", &terminal.read("script.toml")?.replace("root-2026", "root-2027"))?;
    let typed = format!("{}\n", fingerprint(&terminal, "second.toml")?);
    for more in [&["--rehearsal"][..], &[]] {
        let command = [&["ceremony", "run", "second.toml"], more].concat();
        let outcome = terminal.run_typing(&command, &typed)?.ended_with(1)?;
        ensure!(outcome.said().contains("object=root-ca is there already; a new root has a new key"), "{outcome:?}");
        let left = terminal.path("root-2027-rehearsal.unfinished");
        if left.exists() {
            std::fs::remove_dir_all(left)?;
        }
    }

    // Another key of the same token is not the root's.
    token.hsm.make_key(TokenKeys::LABEL, "other", "0a0b", "EC:secp384r1")?;
    terminal.write("other.toml", &EMERGENCY.replace(IN_A_FILE, &key("other")))?;
    let typed = format!("{}\n", fingerprint(&terminal, "other.toml")?);
    let outcome = terminal.run_typing(&["ceremony", "run", "other.toml"], &typed)?.ended_with(1)?;
    ensure!(outcome.said().contains("object=other is not the one of the root's certificate"), "{outcome:?}");
    std::fs::remove_dir_all(terminal.path("emergency-2026.unfinished"))?;

    // The emergency, with the same key; a token that is pulled out says so, and what was begun can be begun again.
    let typed = format!("{}\n", fingerprint(&terminal, "emergency.toml")?);
    token.hsm.unplug()?;
    let outcome = terminal.run_typing(&["ceremony", "run", "emergency.toml"], &typed)?.ended_with(1)?;
    ensure!(outcome.said().contains("no token token=hsm"), "{outcome:?}");
    token.hsm.plug_in()?;
    std::fs::remove_dir_all(terminal.path("emergency-2026.unfinished"))?;
    carry_out(&terminal, "emergency.toml", &["--rehearsal"])?;
    carry_out(&terminal, "emergency.toml", &[])?;
    is_of_the_roots_key(&terminal, "emergency-2026", 4)?;
    terminal.done(&["ceremony", "verify", "emergency-2026"])?;

    // What came of it is a root like every other to the service.
    let chain = terminal.path("root-2026/chain.pem").display().to_string();
    let root = openssl(["x509", "-in", "root-2026/root.crt", "-noout", "-fingerprint", "-sha256"], terminal.folder())?;
    let root = root.text().trim().split('=').nth(1).context("no fingerprint")?.to_owned();
    done(&site, &["init", "--external-root", "--import", &chain, "--root-fingerprint", &root])?;
    done(&site, &["import-crl", &terminal.path("root-2026/root-1.crl").display().to_string()])?;
    Ok(())
}

/// The token is pulled out between any two steps of a ceremony that last, before each of its signatures too.
#[test]
fn a_token_that_is_pulled_out_during_a_ceremony_ends_it_and_it_is_carried_out_when_the_token_is_back()
-> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let site = Site::empty(&[])?;
    let mut terminal = table(&site)?;
    terminal.set(SoftHsm::VARIABLE, &token.hsm.configuration().display().to_string());
    let way = format!("module-path={}&pin-source=file:{}", SoftHsm::MODULE, token.hsm.pin_file().display());
    let key = format!("key = \"pkcs11:token={};object=root-ca?{way}\"\n", TokenKeys::LABEL);
    write_scripts(&terminal, &site, &key, "key_type = \"p384\"\n")?;
    carry_out(&terminal, "script.toml", &["--rehearsal"])?;
    carry_out(&terminal, "script.toml", &[])?;
    carry_out(&terminal, "emergency.toml", &["--rehearsal"])?;
    let at_sync = AtSync::in_folder(site.work_folder())?;
    let typed = format!("{}\n", fingerprint(&terminal, "emergency.toml")?);
    let (output, unfinished) = (terminal.path("emergency-2026"), terminal.path("emergency-2026.unfinished"));
    let mut ended = 0;
    for number in 1.. {
        for (name, value) in at_sync.unplug(number, &token.hsm)? {
            terminal.set(name, &value);
        }
        let outcome = terminal.run_typing(&["ceremony", "run", "emergency.toml"], &typed)?;
        if token.hsm.is_unplugged() {
            token.hsm.plug_in()?;
        }
        if outcome.code == Some(0) {
            // The last signature was made by then.
            break;
        }
        ensure!(outcome.code == Some(1) && outcome.said().contains("token"), "at {number}: {outcome:?}");
        ensure!(!output.exists(), "at {number} something counts that is not finished");
        std::fs::remove_dir_all(&unfinished).with_context(|| format!("at {number}: {outcome:?}"))?;
        ended += 1;
    }
    println!("the token was pulled out at {ended} moments of a ceremony");
    // Two lists, two responders, the transcript.
    ensure!(ended >= 5, "each signature was interrupted: {ended}");
    is_of_the_roots_key(&terminal, "emergency-2026", 4)?;
    terminal.set("AT_SYNC", "0");
    terminal.done(&["ceremony", "verify", "emergency-2026"]).map(drop)
}

#[test]
fn a_key_that_was_made_in_a_token_before_becomes_a_root() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    token.hsm.make_key(TokenKeys::LABEL, "made before", "0a0b", "EC:secp384r1")?;
    let site = Site::empty(&[])?;
    let mut terminal = table(&site)?;
    terminal.set(SoftHsm::VARIABLE, &token.hsm.configuration().display().to_string());
    let way = format!("module-path={}&pin-source=file:{}", SoftHsm::MODULE, token.hsm.pin_file().display());
    write_scripts(&terminal, &site, &format!("key = \"pkcs11:token=hsm;id=%0a%0b?{way}\"\n"), "")?;
    let before = token.hsm.objects(TokenKeys::LABEL)?;
    carry_out(&terminal, "script.toml", &["--rehearsal"])?;
    let said = carry_out(&terminal, "script.toml", &[])?;
    ensure!(said.contains("take the root's key that is held elsewhere"), "{said}");
    ensure!(token.hsm.objects(TokenKeys::LABEL)? == before, "nothing was made in the token");
    is_of_the_roots_key(&terminal, "root-2026", 1)
}

#[test]
fn a_root_whose_key_is_in_kms_signs_the_same_ceremony_and_keeps_out_what_is_no_key() -> anyhow::Result<()> {
    let kms = KmsDouble::start()?;
    let arn = kms.create_key(KeySpec::EccNistP384);
    let site = Site::empty(&[])?;
    let mut terminal = connected_table(&site)?;
    terminal.set("AWS_ACCESS_KEY_ID", "AKIDTEST");
    terminal.set("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests");
    terminal.set("AWS_EC2_METADATA_DISABLED", "true");
    let key = |arn: &str| format!("key = \"kms:{arn}\"\nendpoint_url = \"{}\"\n", kms.endpoint_url());
    write_scripts(&terminal, &site, &key(&arn.replace("key/", "alias/")), "")?;
    terminal.refused(2, &["ceremony", "plan", "script.toml"], &["root.key: ", "alias"])?;
    write_scripts(&terminal, &site, &key(&arn), "")?;
    carry_out(&terminal, "script.toml", &["--rehearsal"])?;
    ensure!(kms.count("Sign").0 == 0, "a rehearsal used the key: {:?}", kms.count("Sign"));
    carry_out(&terminal, "script.toml", &[])?;
    // The root, two authorities, three lists, three responders, the transcript.
    ensure!(kms.count("Sign") == (10, 10), "{:?}", kms.count("Sign"));
    ensure!(names(&terminal.path("root-2026"))? == names(&terminal.path("root-2026-rehearsal"))?);
    is_of_the_roots_key(&terminal, "root-2026", 1)?;
    let transcript = terminal.read("root-2026/transcript.jsonl")?;
    ensure!(transcript.contains(&format!("\"held\":\"kms:{arn}\"")), "{transcript}");

    let other = kms.create_key(KeySpec::EccNistP384);
    terminal.write("other.toml", &EMERGENCY.replace(IN_A_FILE, &key(&other)))?;
    let typed = format!("{}\n", fingerprint(&terminal, "other.toml")?);
    let outcome = terminal.run_typing(&["ceremony", "run", "other.toml"], &typed)?.ended_with(1)?;
    ensure!(outcome.said().contains("is not the one of the root's certificate"), "{outcome:?}");
    std::fs::remove_dir_all(terminal.path("emergency-2026.unfinished"))?;
    carry_out(&terminal, "emergency.toml", &[])?;
    is_of_the_roots_key(&terminal, "emergency-2026", 4)
}
