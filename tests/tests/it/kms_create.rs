//! Keys that `init` and `authority rollover` have AWS KMS make: shown before, made once, found again after whatever cut them off.

use anyhow::{Context, ensure};
use ca_api::authority::{Authority, KeyHome};
use ca_e2e::cli::Terminal;
use ca_e2e::gateway_host::soon;
use ca_e2e::kms::MadeKeys;
use ca_e2e::programs::programs;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site};
use ca_e2e::token_keys::{TokenKeys, borrowed};
use ca_e2e::tools::openssl;
use ca_e2e::typing::Typing;
use ca_test_doubles::{Fault, KeySpec};
use serde_json::{Value, json};

/// `ca-server` with somebody before it.
fn sit_before(site: &Site, arguments: &[&str]) -> anyhow::Result<Typing> {
    let program = programs()?.server.to_str().context("the path of ca-server is not UTF-8")?;
    let line: Vec<String> = [&[program], arguments].concat().into_iter().map(str::to_owned).collect();
    let mut prepared = Typing::program();
    prepared.env_clear().envs(site.settings()).current_dir(site.work_folder());
    Typing::start(prepared, &line)
}

fn refused(site: &Site, arguments: &[&str], parts: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(!succeeded && !said.contains("panicked"), "{arguments:?}: {said}");
    for part in parts {
        ensure!(said.contains(part), "`{part}` is missing in: {said}");
    }
    Ok(said)
}

fn done(site: &Site, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(succeeded, "{arguments:?}: {said}");
    Ok(said)
}

fn home_of(terminal: &Terminal, id: &str) -> anyhow::Result<(KeyHome, String)> {
    let authority: Authority = terminal.json(&["authority", "show", id])?;
    Ok((authority.key.home, authority.key.kind))
}

#[test]
fn keys_are_shown_first_and_made_when_their_number_was_typed() -> anyhow::Result<()> {
    let keys = MadeKeys::start()?;
    let settings = keys.settings();
    let site = Site::empty(&borrowed(&settings))?;
    let shown = refused(&site, &["init"], &["nothing was made: without a terminal, say --yes"])?;
    for part in [
        "`root`: ECC_NIST_P384, SIGN_VERIFY, in sa-east-1",
        "`tls`: ECC_NIST_P256",
        "`document`: RSA_2048",
        "Certificate authority tls: CN=Cartorio Digital TLS CA",
        "cartorio-ca:creation",
        "arn:aws:iam::111122223333:root",
        "kms:PutKeyPolicy",
        "arn:aws:iam::111122223333:role/ca",
        "ECDSA_SHA_384",
    ] {
        ensure!(shown.contains(part), "`{part}` is not shown: {shown}");
    }
    let mut typing = sit_before(&site, &["init"])?;
    typing.sees("type 3 to have them made: ")?;
    typing.types("2\n")?;
    let outcome = typing.ends()?.ended_with(1)?;
    ensure!(outcome.output.contains("nothing was made"), "{outcome:?}");
    ensure!(keys.arns().is_empty() && keys.kms.count("CreateKey") == (0, 0));
    let mut typing = sit_before(&site, &["init"])?;
    typing.sees("type 3 to have them made: ")?;
    typing.types("3\n")?;
    let outcome = typing.ends()?.ended_with(0)?;
    let [root, tls, document] = &keys.arns()[..] else { anyhow::bail!("not three keys: {:?}", keys.arns()) };
    for arn in [root, tls, document] {
        ensure!(outcome.output.contains(arn), "{outcome:?}");
    }
    ensure!(keys.kms.count("ListResourceTags").0 == 0, "nothing was to be looked for");
    let policy = keys.kms.ask("GetKeyPolicy", json!({"KeyId": tls})).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().context("a policy")?)?;
    ensure!(policy["Statement"][1]["Action"] == "kms:Sign", "{policy}");
    // Again: nothing is to be made, and nobody is asked.
    ensure!(done(&site, &["init"])?.contains("the hierarchy was there already"));
    let stack = site.serve()?;
    let terminal = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
    for (id, kind) in [("root", "p384"), ("tls", "p256"), ("document", "rsa2048")] {
        ensure!(home_of(&terminal, id)? == (KeyHome::Kms, kind.to_owned()), "{id}");
    }
    terminal.done(&["issue", "client", "cliente"])?;
    let record = stack.record_octets()?;
    ensure!(record.windows(tls.len()).any(|octets| octets == tls.as_bytes()), "the ARN is on record");
    Ok(())
}

#[test]
fn what_is_wrong_is_found_before_anything_is_made_as_far_as_can_be() -> anyhow::Result<()> {
    let keys = MadeKeys::start()?;
    let settings = keys.settings();
    let mut site = Site::empty(&borrowed(&settings))?;
    let nothing_is_made = |keys: &MadeKeys| ensure_count(keys, 0);
    // Who may not look for keys could not find one again.
    keys.kms.deny("ListKeys");
    refused(&site, &["init", "--yes"], &["AccessDeniedException", "kms:ListKeys", "kms:CreateKey"])?;
    keys.kms.allow("ListKeys");
    let region = site.set("CA__AWS__REGION", "eu-west-1");
    refused(&site, &["init", "--yes"], &["KMS in eu-west-1", "`aws.region`"])?;
    site.set("CA__AWS__REGION", &region);
    // A key that is to be there and is not, beside one that is to be made.
    let before = site.set("CA__AUTHORITY__TLS__KEY", "kms:arn:aws:kms:sa-east-1:111122223333:key/no-such-key");
    site.unset("CA__AUTHORITY__TLS__KEY_TYPE");
    refused(&site, &["init", "--yes"], &["NotFoundException", "no-such-key"])?;
    site.set("CA__AUTHORITY__TLS__KEY", &before);
    ensure!(keys.kms.count("CreateKey") == (0, 0));
    keys.kms.deny("CreateKey");
    refused(&site, &["init", "--yes"], &["CreateKey is refused", "kms:TagResource"])?;
    keys.kms.allow("CreateKey");
    nothing_is_made(&keys)?;
    // A quota is known only when it is met; what was made before is on record and is used.
    keys.kms.with(|kms| kms.set_key_limit(Some(2)));
    refused(&site, &["init", "--yes"], &["LimitExceededException", "Service Quotas"])?;
    ensure_count(&keys, 2)?;
    keys.kms.with(|kms| kms.set_key_limit(None));
    done(&site, &["init", "--yes"])?;
    ensure_count(&keys, 3)?;
    site.serve()?.stop().map(drop)
}

fn ensure_count(keys: &MadeKeys, count: usize) -> anyhow::Result<()> {
    ensure!(keys.arns().len() == count, "{count} keys should be there: {:?}", keys.arns());
    Ok(())
}

#[test]
fn keys_below_a_root_that_others_hold_are_made_too() -> anyhow::Result<()> {
    let keys = MadeKeys::start()?;
    let settings = keys.settings();
    let site = Site::empty(&borrowed(&settings))?;
    let shown = refused(&site, &["init", "--external-root"], &["`tls`: ECC_NIST_P256", "say --yes"])?;
    ensure!(!shown.contains("`root`"), "the root's key is others': {shown}");
    for _ in 0..2 {
        done(&site, &["init", "--external-root", "--yes"])?;
        ensure_count(&keys, 2)?;
    }
    for request in ["tls.csr", "document.csr"] {
        let request = site.data_folder().join("requests").join(request).display().to_string();
        openssl(["req", "-in", &request, "-verify", "-noout"], site.work_folder())?;
    }
    Ok(())
}

#[test]
fn local_mode_and_a_start_make_no_key_in_kms() -> anyhow::Result<()> {
    let keys = MadeKeys::start()?;
    let settings = [keys.settings(), vec![(EMBEDDED.0, EMBEDDED.1.to_owned())]].concat();
    let site = Site::empty(&borrowed(&settings))?;
    done(&site, &["check-config"])?;
    let terminal = Terminal::local_at(&site)?;
    terminal.refused(1, &["issue", "client", "cliente"], &["`root` is to be made in AWS KMS", "ca-server init"])?;
    ensure_count(&keys, 0)?;
    done(&site, &["init", "--yes"])?;
    terminal.done(&["issue", "client", "cliente"]).map(drop)
}

#[test]
fn init_that_is_killed_again_and_again_makes_each_key_once() -> anyhow::Result<()> {
    let keys = MadeKeys::start()?;
    let settings = [keys.settings(), vec![(EMBEDDED.0, EMBEDDED.1.to_owned())]].concat();
    let site = Site::empty(&borrowed(&settings))?;
    let init = || site.start(&["init", "--yes"]);
    // Silence holds it where it is: it gives up after some seconds, which is as good as being killed, and goes no further.
    let silence = || vec![Fault::Silence; 100];
    let killed_at = |operation: &str| -> anyhow::Result<()> {
        let before = keys.kms.count(operation).0;
        let mut process = init()?;
        soon("KMS is silent", || Ok(is_silent(&keys, operation, before).then_some(())))
            .with_context(|| process.lines().join("\n"))?;
        process.kill();
        keys.kms.mend();
        Ok(())
    };
    // 1. Before anything is made.
    keys.kms.fail("ListKeys", silence());
    killed_at("ListKeys")?;
    ensure_count(&keys, 0)?;
    // 2. KMS has made the first key, and nobody heard of it.
    keys.kms.fail("CreateKey", [Fault::SilenceAfterwards]);
    keys.kms.fail_later("ListKeys", 1, silence());
    killed_at("CreateKey")?;
    ensure_count(&keys, 1)?;
    // 3. Each key is on record, and it is not known yet whether it signs.
    for made in 1..=3 {
        keys.kms.fail("GetPublicKey", silence());
        killed_at("GetPublicKey")?;
        ensure_count(&keys, made)?;
    }
    // 4. Dry runs first; then the root's certificate, its responder; the responder of `tls`; the list of `document`.
    for served in [3, 4, 5, 3] {
        keys.kms.fail_later("Sign", served, silence());
        killed_at("Sign")?;
    }
    ensure_count(&keys, 3)?;
    done(&site, &["init", "--yes"])?;
    ensure_count(&keys, 3)?;
    works(site)
}

/// Whether a request of an operation met silence since there were so many of them.
fn is_silent(keys: &MadeKeys, operation: &str, before: usize) -> bool {
    let asked = keys.kms.asked().into_iter().filter(|asked| asked.operation == operation);
    asked.skip(before).any(|asked| asked.failed.as_deref() == Some("silence"))
}

/// It serves, issues, and its chains hold.
fn works(site: Site) -> anyhow::Result<()> {
    let stack = site.serve()?;
    let terminal = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
    terminal.done(&["issue", "client", "cliente"])?;
    terminal.done(&["issue", "document", "ana", "--san", "email:ana@homes.example"])?;
    terminal.done(&["verify", "cliente.crt"])?;
    terminal.done(&["verify", "ana.crt"]).map(drop)
}

#[test]
fn init_over_a_token_that_is_killed_again_and_again_makes_each_key_once() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let settings = [token.settings("p256"), vec![(EMBEDDED.0, EMBEDDED.1.to_owned())]].concat();
    let site = Site::empty(&borrowed(&settings))?;
    for step in ["making the p256 key of `root`", "authority `root` is established", "authority `tls` is established"] {
        let mut process = site.start(&["init"])?;
        // It may be further by the time it dies, or even done: whatever the moment, what follows must be true.
        let _seen = process.wait_for_line(step, PATIENCE);
        process.kill();
    }
    done(&site, &["init"])?;
    private_keys(&token, &["root-ca", "tls-ca", "document-ca"])?;
    works(site)
}

/// The token has these private keys, one each, and no other.
fn private_keys(token: &TokenKeys, labels: &[&str]) -> anyhow::Result<()> {
    let listed = token.hsm.tool(TokenKeys::LABEL, &["--list-objects", "--type", "privkey"])?;
    ensure!(listed.matches("Private Key Object").count() == labels.len(), "not {} keys: {listed}", labels.len());
    for label in labels {
        ensure!(listed.matches(&format!("{label}\n")).count() == 1, "{label}: {listed}");
    }
    Ok(())
}

#[test]
fn a_token_that_is_pulled_out_during_init_is_told_and_init_goes_on_when_it_is_back() -> anyhow::Result<()> {
    let (token, keys) = (std::sync::Arc::new(TokenKeys::new()?), MadeKeys::start()?);
    let tls = keys.kms.create_key(KeySpec::EccNistP256);
    let in_token = |(name, _): &(&str, String)| !name.starts_with("CA__AUTHORITY__") || name.contains("__ROOT__");
    let mut settings: Vec<_> = token.settings("p256").into_iter().filter(in_token).collect();
    settings.extend(keys.settings().into_iter().filter(|(name, _)| !name.starts_with("CA__AUTHORITY__")));
    settings.push(("CA__AUTHORITY__TLS__KEY", format!("kms:{tls}")));
    let site = Site::empty(&borrowed(&settings))?;
    // KMS is asked for the key of `tls` before the token makes the root's, and signs for `tls` when the root is there.
    let pulled_out = |operation: &str, before: usize| {
        for _ in 0..before {
            keys.kms.intrude(operation, |_| {});
        }
        let token = std::sync::Arc::clone(&token);
        keys.kms.intrude(operation, move |_| token.hsm.unplug().expect("the token can be pulled out"));
    };
    pulled_out("GetPublicKey", 0);
    refused(
        &site,
        &["init"],
        &["the key of `root` was not made in a PKCS#11 token, pkcs11:token=hsm", "run this again"],
    )?;
    token.hsm.plug_in()?;
    private_keys(&token, &[])?;
    // One dry run, and then the certificate of the first responder of `tls`.
    pulled_out("Sign", 1);
    refused(&site, &["init"], &["token"])?;
    token.hsm.plug_in()?;
    private_keys(&token, &["root-ca"])?;
    done(&site, &["init"])?;
    private_keys(&token, &["root-ca"])?;
    works(site)
}

#[test]
fn generations_have_keys_that_kms_makes_and_keys_of_a_token() -> anyhow::Result<()> {
    let (token, keys) = (TokenKeys::new()?, MadeKeys::start()?);
    let of_token = |(name, _): &(&str, String)| !name.starts_with("CA__AUTHORITY__") || name.contains("__DOCUMENT__");
    let mut settings: Vec<_> = token.settings("p256").into_iter().filter(of_token).collect();
    settings.extend(keys.settings().into_iter().filter(|(name, _)| !name.contains("__DOCUMENT__")));
    let mut site = Site::empty(&borrowed(&settings))?;
    done(&site, &["init", "--yes"])?;
    ensure_count(&keys, 2)?;
    // The configuration names the next key of a token; that of KMS it only asks for.
    site.set("CA__AUTHORITY__DOCUMENT__KEY", "pkcs11:token=hsm;object=document-2-ca");
    let stack = site.serve()?;
    let terminal = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
    refused(&stack, &["authority", "rollover", "tls"], &["`tls-2`: ECC_NIST_P256", "without a terminal, say --yes"])?;
    ensure_count(&keys, 2)?;
    // An answer that is lost makes no second key.
    keys.kms.fail("CreateKey", [Fault::LoseAnswer]);
    done(&stack, &["authority", "rollover", "tls", "--issue-after", "15s", "--yes"])?;
    ensure_count(&keys, 3)?;
    done(&stack, &["authority", "rollover", "document", "--issue-after", "15s"])?;
    private_keys(&token, &["document-ca", "document-2-ca"])?;
    // Whether the next one is not to be made yet, or only after a question: no key is.
    refused(&stack, &["authority", "rollover", "tls"], &[])?;
    ensure_count(&keys, 3)?;
    let heard = || Ok(terminal.run(&["authority", "show", "document-2"])?.ended_with(0).ok());
    soon("the service has heard of the generations", heard)?;
    ensure!(home_of(&terminal, "tls-2")? == (KeyHome::Kms, "p256".to_owned()));
    ensure!(home_of(&terminal, "document-2")?.0 == KeyHome::Pkcs11);
    let mut number = 0;
    for (profile, generation) in [("client", "tls-2"), ("document", "document-2")] {
        let issued = soon("the next generation issues", || {
            number += 1;
            let name = format!("c{number}.homes.example");
            terminal.done(&["issue", profile, &name, "--san", &format!("email:c{number}@homes.example")])?;
            let shown: Value = terminal.json(&["show", &format!("{name}.crt")])?;
            Ok((shown["authority"] == generation).then_some(name))
        })?;
        terminal.done(&["verify", &format!("{issued}.crt")])?;
        terminal.done(&["revoke", &format!("{issued}.crt"), "--reason", "superseded"])?;
        soon("the list of the generation has it", || {
            let shown: Authority = terminal.json(&["authority", "show", generation])?;
            Ok(shown.crl.filter(|list| list.entries == 1).map(drop))
        })?;
    }
    Ok(())
}
