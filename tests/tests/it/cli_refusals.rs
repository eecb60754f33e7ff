//! What a server refuses, as `ca-cli` tells it: exit status 1 and one line that says what is wrong and what would be right; 2
//! where the command line itself makes no sense. Nothing is left of a refusal.

use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::identity::SubjectKey;
use ca_e2e::stack::{PATIENCE, Stack, shared};
use ca_e2e::tools::openssl;

use crate::bad_request::broken_csr;
use crate::cli_remote::{administrator, newcomer};

/// The command is refused, and the line that says so holds all of `hints`. Only what to report it by follows.
fn is_refused(terminal: &Terminal, arguments: &[&str], hints: &[&str]) -> anyhow::Result<()> {
    let outcome = terminal.refused(1, arguments, hints)?;
    let mut lines = outcome.errors.lines().skip_while(|line| !line.starts_with("error: "));
    let line = lines.next().unwrap_or_default();
    for hint in hints {
        assert!(line.contains(hint), "`{hint}` is not in the first line: {outcome:?}");
    }
    assert!(lines.all(|line| line.starts_with("request id: ")), "{outcome:?}");
    assert_eq!(outcome.output, "", "{outcome:?}");
    Ok(())
}

/// The same of `issue`, which leaves no file.
fn is_not_issued(terminal: &Terminal, arguments: &[&str], hints: &[&str]) -> anyhow::Result<()> {
    let before = std::fs::read_dir(terminal.folder())?.count();
    is_refused(terminal, &[&["issue"], arguments].concat(), hints)?;
    assert_eq!(std::fs::read_dir(terminal.folder())?.count(), before, "files of {arguments:?}");
    Ok(())
}

/// A certificate that the administrator asked for, and its id.
fn issued(terminal: &Terminal, name: &str) -> anyhow::Result<Certificate> {
    terminal.done(&["issue", "client", name])?;
    terminal.json(&["show", &format!("{name}.crt")])
}

/// A file with a token for one certificate of profile `server`, in the folder of a newcomer.
fn newcomer_with_token(stack: &Stack, host: &str, expires_in: &str) -> anyhow::Result<Terminal> {
    let office = administrator(stack)?;
    let token = ["token", "create", "server", "--san", host, "--common-name", host, "--expires-in", expires_in];
    office.done(&[&token[..], &["--out", "secret"]].concat())?;
    let machine = newcomer(stack)?;
    machine.write("secret", &office.read("secret")?)?;
    Ok(machine)
}

#[test]
fn a_profile_that_there_is_not_or_not_for_asking() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    for profile in ["sever", "operator", "root"] {
        let hint = format!("there is no profile `{profile}`; profiles are client, document, server");
        is_not_issued(&terminal, &[profile, "x"], &[&hint])?;
    }
    terminal.refused(2, &["issue", "Server", "x"], &["`Server`", "lower-case letters"])?;
    Ok(())
}

#[test]
fn names_that_the_profile_does_not_allow() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let forbidden = ["server", "x.example.test", "--san", "x.example.test", "--san", "ana@example.test"];
    is_not_issued(&terminal, &forbidden, &["`email:ana@example.test`", "it takes dns, ip, uri"])?;
    is_not_issued(&terminal, &["client", "*.example.test"], &["a wildcard", "name each host"])?;
    let reserved = ["server", "api", "--san", "localhost"];
    is_not_issued(&terminal, &reserved, &["a name of this service itself", "ask for another name"])?;
    // As a common name it is no better: both are told.
    let outcome =
        terminal.refused(1, &["issue", "server", "localhost"], &["  subject: `localhost` is a name of this"])?;
    assert_eq!(outcome.errors.matches("ask for another name").count(), 2, "{outcome:?}");
    terminal.refused(2, &["issue", "server", "x", "--san", "dns:a..b"], &["a..b"])?;
    Ok(())
}

#[test]
fn keys_and_requests_that_prove_nothing() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let names = ["-subj", "/CN=weak", "-addext", "subjectAltName=DNS:w.example.test"];
    let made = ["req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "weak.key", "-out", "weak.csr"];
    openssl([&made[..], &names].concat(), terminal.folder())?;
    let weak = ["server", "weak", "--csr", "weak.csr"];
    is_not_issued(&terminal, &weak, &["weak.csr", "1024 bits", "use 2048, 3072 or 4096"])?;
    terminal.write("broken.csr", &broken_csr(terminal.folder())?)?;
    let broken = ["server", "broken", "--csr", "broken.csr"];
    is_not_issued(&terminal, &broken, &["broken.csr", "make it again with the private key"])?;
    terminal.refused(2, &["issue", "server", "x", "--key-type", "rsa1024"], &["rsa1024", "rsa2048"])?;
    Ok(())
}

#[test]
fn lifetimes_that_the_profile_does_not_allow() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    is_not_issued(&terminal, &["server", "x", "--validity", "399d"], &["399d", "ask for at most 398d"])?;
    terminal.refused(2, &["issue", "server", "x", "--validity", "soon"], &["`soon`", "90d, 12h, 30m or 10s"])?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_has_expired() -> anyhow::Result<()> {
    let stack = shared()?;
    let machine = newcomer_with_token(&stack, "late.example.test", "1s")?;
    let bearer = stack.bearer(machine.read("secret")?.trim())?;
    eventually(PATIENCE, "the token expires", || async {
        Ok(bearer.get(route::PROFILES).await?.expect_problem(ProblemType::TokenExpired).ok())
    })
    .await?;
    let issue = ["server", "late.example.test", "--token-file", "secret"];
    is_not_issued(&machine, &issue, &["the token expired at 20", "ask for a new one"])
}

#[test]
fn a_token_that_was_used_or_is_for_others() -> anyhow::Result<()> {
    let stack = shared()?;
    let machine = newcomer_with_token(&stack, "spent.example.test", "1h")?;
    let other = ["server", "other.example.test", "--token-file", "secret"];
    is_not_issued(&machine, &other, &["the names it was made for; ask for those alone"])?;
    let issue = ["server", "spent.example.test", "--token-file", "secret"];
    machine.done(&[&["issue"], &issue[..]].concat())?;
    let again = [&issue[..], &["--file-name", "again"]].concat();
    is_not_issued(&machine, &again, &["used as often as it may be", "ask for a new one"])?;
    machine.write("secret", "cet_nonsense")?;
    is_not_issued(&machine, &again, &["the token is not known", "ask for a new one"])
}

#[test]
fn an_unknown_reason_is_wrong_usage() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let certificate = issued(&terminal, "reason")?;
    for reason in ["lost", "removeFromCRL", "keycompromise"] {
        let hints = [reason, "keyCompromise", "certificateHold", "superseded"];
        terminal.refused(2, &["revoke", &certificate.id, "--reason", reason], &hints)?;
    }
    Ok(())
}

#[test]
fn revoking_twice() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    issued(&terminal, "twice")?;
    let with = |reason| ["revoke", "twice.crt", "--reason", reason];
    let first = terminal.done(&with("superseded"))?;
    assert_eq!(terminal.done(&with("superseded"))?, first, "the same again is done");
    let hint = "revoked already, with reason superseded; only keyCompromise may replace that";
    is_refused(&terminal, &with("affiliationChanged"), &[hint])?;
    let hint = "revoked for good, with reason superseded";
    is_refused(&terminal, &with("certificateHold"), &[hint, "ask for a new one"])?;
    is_refused(&terminal, &["unhold", "twice.crt"], &[hint, "ask for a new one"])?;
    assert!(terminal.done(&with("keyCompromise"))?.contains("(keyCompromise)"));
    is_refused(&terminal, &with("superseded"), &["with reason keyCompromise; nothing may replace that"])
}

#[test]
fn a_hold_that_is_none_does_not_end() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    issued(&terminal, "held")?;
    is_refused(&terminal, &["unhold", "held.crt"], &["in force and not on hold"])?;
    terminal.done(&["revoke", "held.crt", "--reason", "certificateHold"])?;
    let renew = ["renew", "held.crt"];
    is_refused(&terminal, &renew, &["on hold", "end the hold first"])?;
    terminal.done(&["unhold", "held.crt"])?;
    terminal.done(&renew)?;
    Ok(())
}

#[test]
fn a_key_that_was_compromised() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    terminal.write("stolen.csr", &SubjectKey::generate()?.csr("stolen.example.test", &["stolen.example.test"])?)?;
    terminal.done(&["issue", "client", "stolen", "--csr", "stolen.csr"])?;
    terminal.done(&["revoke", "stolen.crt", "--reason", "keyCompromise"])?;
    let again = ["client", "stolen", "--csr", "stolen.csr", "--file-name", "again"];
    is_not_issued(&terminal, &again, &["reported as compromised", "make a new key"])
}

#[test]
fn a_renewal_that_comes_too_early_too_late_or_twice() -> anyhow::Result<()> {
    let stack = shared()?;
    let office = administrator(&stack)?;
    let holder = newcomer_with_token(&stack, "holder.example.test", "1h")?;
    holder.done(&["issue", "server", "holder.example.test", "--token-file", "secret"])?;
    let own: Certificate = holder.json(&["show", "holder.example.test.crt"])?;
    let before = holder.read("holder.example.test.crt")?;
    is_refused(&holder, &["renew", "holder.example.test.crt"], &["can be renewed from 20", &own.not_after])?;
    assert_eq!(holder.read("holder.example.test.crt")?, before, "its files are as they were");

    // An administrator may at any time, and once.
    let renew = ["renew", &own.id, "--file-name"];
    office.done(&[&renew[..], &["first"]].concat())?;
    let first: Certificate = office.json(&["show", "first.crt"])?;
    let hint = format!("use its successor {}, or revoke that one first", first.id);
    is_refused(&office, &[&renew[..], &["second"]].concat(), &[&hint])?;

    office.done(&["revoke", &first.id, "--reason", "superseded"])?;
    office.done(&["revoke", &own.id, "--reason", "superseded"])?;
    let hints = ["revoked (superseded)", "ask for a new one"];
    is_refused(&office, &[&renew[..], &["second"]].concat(), &hints)?;
    assert!(!office.path("second.key").exists() && !office.path("second.crt").exists());
    let hints = ["the client certificate is revoked (superseded)", "get a new one"];
    is_refused(&holder, &["renew", "holder.example.test.crt"], &hints)
}

#[test]
fn a_role_guessed_by_a_name() -> anyhow::Result<()> {
    let stack = shared()?;
    let office = administrator(&stack)?;
    office.done(&["issue", "client", "administrator", "--subject", "CN=administrator,O=operator"])?;
    let impostor = newcomer(&stack)?;
    for file in ["administrator.crt", "administrator.key"] {
        impostor.write(file, &office.read(file)?)?;
    }
    for command in [&["list"][..], &["issue", "client", "accomplice"], &["token", "create", "client", "--san", "x"]] {
        let shown = ["--cert", "administrator.crt", "--key", "administrator.key"];
        is_refused(&impostor, &[command, &shown].concat(), &["ask an administrator for a role or a token"])?;
    }
    assert!(!impostor.path("accomplice.key").exists());
    Ok(())
}
