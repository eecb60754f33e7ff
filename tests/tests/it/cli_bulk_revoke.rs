//! `ca-cli revoke` of many: against a server and without one, and what another command finds of it later.

use std::sync::Arc;

use anyhow::{Context, ensure};
use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState, RevocationCount};
use ca_api::certificate::{Certificate, CertificateStatus};
use ca_e2e::cli::Terminal;
use ca_e2e::many::issue_many;
use ca_e2e::record::damage;
use ca_e2e::stack::{Site, Stack, shared};
use ca_e2e::tools::openssl;
use serde_json::json;

use crate::cli_remote::administrator;

#[test]
fn many_are_counted_first_and_revoked_when_their_number_is_said() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let names = ["bulk-a", "bulk-b", "bulk-c"];
    for name in names {
        terminal.done(&["issue", "client", name, "--san", "cli-bulk.example.test"])?;
    }
    let filter = ["revoke", "--filter", "name=cli-bulk.example.test,profile=client", "--reason", "superseded"];
    let with = |more: &[&'static str]| [&filter[..], more].concat();
    let counted = terminal.done(&with(&["--dry-run"]))?;
    ensure!(counted.contains("3 certificates fit") && counted.contains("bulk-c"), "{counted}");
    let count: RevocationCount = terminal.json(&with(&["--dry-run"]))?;
    assert_eq!(count.count, 3);
    // Nobody is there to be asked.
    terminal.refused(2, &filter, &["--yes --expect 3"])?;
    terminal.refused(1, &with(&["--yes", "--expect", "2"]), &["2 certificates were to be revoked, and 3 fit"])?;
    terminal.refused(1, &with(&["--expect", "4"]), &["4 certificates", "3 fit"])?;
    terminal.refused(2, &with(&["--yes"]), &["--expect"])?;
    for name in names {
        let there: Certificate = terminal.json(&["show", &format!("{name}.crt")])?;
        assert_eq!(there.status, CertificateStatus::Active);
    }
    let ended: BulkRevocation = terminal.json(&with(&["--yes", "--expect", "3"]))?;
    assert_eq!((ended.state, ended.revoked), (BulkRevocationState::Completed, 3));
    terminal.refused(1, &["verify", "bulk-b.crt", "--ocsp"], &["NOT VALID", "superseded"])?;
    let said = terminal.done(&["revoke", "--status", &ended.id])?;
    ensure!(said.contains("is completed: 3 of 3 revoked"), "{said}");
    terminal.done(&["revoke", "--resume", &ended.id])?;
    terminal.refused(1, &["revoke", "--cancel", &ended.id], &["completed"])?;
    terminal.refused(1, &filter, &["nothing to revoke"])?;
    Ok(())
}

#[test]
fn a_file_names_what_is_to_be_revoked() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let mut lines = vec!["# those of the stolen machine".to_owned(), String::new()];
    for (place, name) in ["list-a", "list-b", "list-c"].into_iter().enumerate() {
        terminal.done(&["issue", "client", name])?;
        let there: Certificate = terminal.json(&["show", &format!("{name}.crt")])?;
        lines.push(match place {
            0 => there.id,
            1 => format!("{}:{}", there.authority, there.serial),
            _ => there.serial,
        });
    }
    terminal.write("serials.txt", &lines.join("\n"))?;
    let asked = ["revoke", "--from-file", "serials.txt", "--reason", "keyCompromise"];
    let ended: BulkRevocation = terminal.json(&[&asked[..], &["--yes", "--expect", "3"]].concat())?;
    assert_eq!((ended.revoked, ended.scope.as_str()), (3, "a list of 3"));
    terminal.write("wrong.txt", "tls:ab\nAna Souza\n")?;
    terminal.refused(2, &["revoke", "--from-file", "wrong.txt", "--dry-run"], &["line 2", "nothing was revoked"])?;
    terminal.write("empty.txt", "# none\n")?;
    terminal.refused(2, &["revoke", "--from-file", "empty.txt", "--dry-run"], &["no certificate in it"])?;
    terminal.refused(1, &["revoke", "--filter", "issued-before=0s", "--dry-run"], &["every certificate there is"])?;
    terminal.refused(2, &["revoke", "--filter", "profil=client"], &["keys are profile"])?;
    terminal.refused(2, &["revoke", "--filter", "profile=client", "list-a.crt"], &["cannot be used with"])?;
    terminal.refused(2, &["revoke"], &["--filter"])?;
    Ok(())
}

#[test]
fn without_a_server_the_command_does_the_work_and_makes_one_list() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    let rows: String = (0..7).map(|number| format!("client,local-{number}\n")).collect();
    terminal.write("rows.csv", &rows)?;
    terminal.done(&["issue", "--batch", "rows.csv"])?;
    let asked =
        ["revoke", "--filter", "profile=client", "--filter", "authority=tls", "--reason", "cessationOfOperation"];
    terminal.refused(2, &asked, &["--yes --expect 7"])?;
    let said = terminal.done(&[&asked[..], &["--yes", "--expect", "7"]].concat())?;
    ensure!(said.contains("is completed: 7 of 7 revoked") && said.contains("of tls has them"), "{said}");
    let text =
        openssl(["crl", "-inform", "DER", "-in", "pki/crl/tls.crl", "-noout", "-text"], terminal.folder())?.text();
    assert_eq!(text.matches("Serial Number: ").count(), 7);
    assert_eq!(text.matches("Cessation Of Operation").count(), 7);
    terminal.refused(1, &["verify", "local-3.crt", "--crl"], &["NOT VALID"])?;
    ensure!(terminal.done(&["audit", "verify"])?.contains("whole"), "the chain is whole");
    Ok(())
}

/// Takes the lease of bulk revocations from whoever would go on with them, or gives it back: nothing moves in between.
fn hold_up(site: &Site, held: bool) -> anyhow::Result<()> {
    let until = if held { "99999999999999" } else { "0" };
    damage(
        site,
        &format!(
            "INSERT INTO leases (name, holder, token, expires_at) VALUES ('bulk-revocation', 'a test', 1000, {until})
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1,
                 expires_at = excluded.expires_at"
        ),
    )
}

fn number_in(text: &str, before: &str) -> anyhow::Result<String> {
    let rest = text.split(before).nth(1).with_context(|| format!("no {before:?} in {text}"))?;
    Ok(rest.chars().take_while(|character| character.is_ascii_hexdigit() || *character == '-').collect())
}

#[test]
fn at_a_terminal_the_number_is_typed_and_ctrl_c_leaves_the_rest_to_the_service() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let terminal = administrator(&stack)?;
    for name in ["typed-a", "typed-b", "typed-c"] {
        terminal.done(&["issue", "client", name])?;
    }
    let asked = ["revoke", "--filter", "profile=client", "--reason", "superseded"];
    let active = |name: &str| -> anyhow::Result<()> {
        let there: Certificate = terminal.json(&["show", &format!("{name}.crt")])?;
        ensure!(there.status == CertificateStatus::Active, "{there:?}");
        Ok(())
    };
    // Another number, no number, and second thoughts.
    for (typed, code, said) in
        [("2\n", 1, "that is another number"), ("\n", 1, "that is another number"), ("\u{3}", 130, "")]
    {
        let mut person = terminal.sit_before(&asked)?;
        person.sees("type 3 to revoke them: ")?;
        person.types(typed)?;
        let outcome = person.ends()?.ended_with(code)?;
        ensure!(outcome.output.contains(said), "{outcome:?}");
        active("typed-b")?;
    }

    // The right one; and Ctrl-C in the middle, which the service is held in.
    hold_up(&stack, true)?;
    let mut person = terminal.sit_before(&asked)?;
    person.sees("type 3 to revoke them: ")?;
    person.types("3\n")?;
    person.sees("revoking")?;
    person.interrupts()?;
    let outcome = person.ends()?.ended_with(1)?;
    let id = number_in(&outcome.output, "revoke --status ")?;
    for hint in ["goes on at the service", &format!("--resume {id}"), &format!("--cancel {id}")] {
        ensure!(outcome.output.contains(hint), "{hint}: {outcome:?}");
    }
    let left: BulkRevocation = terminal.json(&["revoke", "--status", &id])?;
    assert_eq!((left.state, left.revoked, left.remaining), (BulkRevocationState::Running, 0, 3));
    active("typed-b")?;
    hold_up(&stack, false)?;
    let ended: BulkRevocation = terminal.json(&["revoke", "--resume", &id])?;
    assert_eq!((ended.state, ended.revoked), (BulkRevocationState::Completed, 3));

    // What was left may be ended instead.
    terminal.done(&["issue", "client", "typed-d"])?;
    hold_up(&stack, true)?;
    let mut person = terminal.sit_before(&asked)?;
    person.sees("type 1 to revoke them: ")?;
    person.types("1\n")?;
    person.sees("revoking")?;
    person.interrupts()?;
    let id = number_in(&person.ends()?.ended_with(1)?.output, "--cancel ")?;
    let canceled: BulkRevocation = terminal.json(&["revoke", "--cancel", &id])?;
    assert_eq!((canceled.state, canceled.revoked), (BulkRevocationState::Canceled, 0));
    hold_up(&stack, false)?;
    active("typed-d")
}

#[test]
fn ctrl_c_without_a_server_says_how_to_go_on_and_nothing_is_lost() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    let terminal = Terminal::local_at(&site)?;
    for name in ["alone-a", "alone-b"] {
        terminal.done(&["issue", "client", name])?;
    }
    hold_up(&site, true)?;
    let mut person = terminal.sit_before(&["revoke", "--filter", "profile=client"])?;
    person.sees("type 2 to revoke them: ")?;
    person.types("2\n")?;
    person.sees("revoking")?;
    person.interrupts()?;
    let outcome = person.ends()?.ended_with(1)?;
    let id = number_in(&outcome.output, "revoke --resume ")?;
    ensure!(outcome.output.contains("is not done") && outcome.output.contains("--local"), "{outcome:?}");
    hold_up(&site, false)?;
    let ended: BulkRevocation = terminal.json(&["revoke", "--resume", &id])?;
    assert_eq!((ended.state, ended.revoked), (BulkRevocationState::Completed, 2));
    terminal.refused(1, &["verify", "alone-a.crt", "--crl"], &["NOT VALID"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_left_undone_is_done_without_one() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let client = Arc::new(stack.administrator()?);
    issue_many(Arc::clone(&client), "client", "left.example.test", 500).await?;
    let body = json!({ "filter": { "profile": "client" }, "reason": "superseded", "expected_count": 500 });
    let begun: BulkRevocation = client.post("/v1/certificates/revoke", &body).await?.expect(202)?.json()?;
    // However far it has come.
    let site = tokio::task::block_in_place(|| stack.kill());
    let terminal = Terminal::local_at(&site)?;
    let left: BulkRevocation = terminal.json(&["revoke", "--status", &begun.id])?;
    println!("the server that was killed had revoked {} of {}", left.revoked, left.count);
    let ended: BulkRevocation = terminal.json(&["revoke", "--resume", &begun.id])?;
    assert_eq!((ended.state, ended.revoked, ended.skipped), (BulkRevocationState::Completed, 500, 0));
    assert_eq!(ended.lists.len(), 1);
    ensure!(terminal.done(&["audit", "verify"])?.contains("whole"), "the chain is whole");
    let revoked: Vec<Certificate> = terminal.json(&["list", "--status", "revoked", "--limit", "0"])?;
    assert_eq!(revoked.len(), 500);
    Ok(())
}
