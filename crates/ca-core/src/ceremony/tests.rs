//! Scripts, plans and transcripts.

use super::*;
use crate::key::SignatureAlgorithm;
use crate::time::{Lifetime, Timestamp};

const SCRIPT: &str = r#"
[ceremony]
title = "Root of Example"
kind = "establish"
operators = ["Ana", "Bruno"]
output = "root-2026"
years = 3
base_url = "http://pki.example.org"

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
permitted_subtrees = ["dns:example.org"]
"#;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn faults(text: &str) -> Vec<String> {
    let faults = Script::parse(text).expect_err("a script with faults");
    faults.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn every_fault_of_a_script_is_told_at_once() {
    let script = Script::parse(SCRIPT).expect("a good one");
    assert_eq!(script.subordinates[0].constraints.name_constraints.permitted.len(), 1);
    let broken = SCRIPT
        .replace("\"Ana\", \"Bruno\"", "\"Ana\"")
        .replace("years = 3", "years = 30")
        .replace("http://pki", "https://pki")
        .replace("software:p384", "p384")
        .replace("7305d", "long")
        .replace("serverAuth", "server auth")
        .replace("id = \"tls\"", "id = \"root\"");
    assert_eq!(
        faults(&broken),
        [
            "ceremony.operators",
            "ceremony.years",
            "ceremony.base_url",
            "root.key",
            "root.validity",
            "subordinate[0].purposes",
            "subordinate[0].id"
        ]
    );
    assert_eq!(faults(&SCRIPT.replace("title", "name")), ["the script"]);
    assert_eq!(
        faults(&SCRIPT.replace("establish", "continue")),
        ["root.subject", "root.validity", "root.key", "root.previous"]
    );
    let hold = format!("{SCRIPT}\n[[revoke]]\ncertificate = \"tls.crt\"\nreason = \"certificateHold\"\n");
    assert_eq!(faults(&hold), ["revoke", "revoke[0].reason"]);
}

#[test]
fn a_new_root_of_rsa_may_be_told_by_what_it_signs() {
    let told = |key: &str, signature: &str| {
        let root = format!("key = \"software:{key}\"\nsignature = \"{signature}\"");
        SCRIPT.replace("key = \"software:p384\"", &root)
    };
    let script = Script::parse(&told("rsa4096", "rsa-pss-sha256")).expect("a good one");
    assert_eq!(script.root.signature, Some(SignatureAlgorithm::RsaPssSha256));
    assert_eq!(Script::parse(SCRIPT).expect("a good one").root.signature, None, "by what its key signs with");
    assert_eq!(faults(&told("p384", "rsa-pss-sha256")), ["root.signature"]);
    assert_eq!(faults(&told("rsa4096", "pss")), ["root.signature"]);
    let continued = told("rsa4096", "rsa-pss-sha256").replace("establish", "continue");
    assert!(faults(&continued).contains(&"root.signature".to_owned()), "it signs by what its certificate is signed by");
}

#[test]
fn the_roots_key_is_where_the_script_says_with_what_is_needed_there_and_nothing_else() {
    let way = "pkcs11:token=root;object=root-ca?module-path=/usr/lib/hsm.so&pin-source=file:/media/pin";
    let file = "key_file = \"root.key\"\npassphrase_file = \"root.passphrase\"\n";
    let keyed = |key: &str| SCRIPT.replace("software:p384", key).replace(file, "");
    let script = Script::parse(&keyed(way)).expect("a script");
    assert!(matches!(&script.root.key, RootKey::Token { make: None, .. }));
    let first = |script: &Script| plan(script, &Past::default(), None, NOW).expect("a plan").acts.remove(0);
    assert_eq!(first(&script), Act::CertifyRoot);
    let made = keyed(&format!("{way}\"\nkey_type = \"p384"));
    let script = Script::parse(&made).expect("a script");
    assert_eq!(first(&script), Act::MakeRoot);
    let arn = "kms:arn:aws:kms:sa-east-1:111122223333:key/1";
    let script = Script::parse(&keyed(arn)).expect("a script");
    assert!(
        matches!(&script.root.key, RootKey::Kms { arn: named, endpoint_url: None } if arn.ends_with(named.as_str()))
    );
    assert_eq!(first(&script), Act::CertifyRoot);

    assert_eq!(faults(&SCRIPT.replace("software:p384", arn)), ["root.key_file", "root.passphrase_file"]);
    assert_eq!(faults(&SCRIPT.replace(file, "")), ["root.key_file", "root.passphrase_file"]);
    assert_eq!(faults(&keyed("pkcs11:token=root;object=root-ca")), ["root.key"]);
    assert_eq!(faults(&keyed(&format!("{arn}\"\nkey_type = \"p384"))), ["root.key_type"]);
    assert_eq!(faults(&keyed(&format!("{way}\"\nendpoint_url = \"https://kms.example"))), ["root.endpoint_url"]);
    assert_eq!(faults(&SCRIPT.replace("p384\"", "p384\"\nkey_type = \"p384\"")), ["root.key_type"]);
    // A PIN is quoted in no fault.
    let told = Script::parse(&keyed("pkcs11:token=root;object=a?pin-value=31415926")).expect_err("a PIN");
    assert!(!told.iter().any(|fault| fault.message.contains("31415926")), "{told:?}");
    // One that is there is gone on with where it is.
    let there = made.replace("establish", "continue").replace("validity = \"7305d\"", "previous = \"root-2026\"");
    assert_eq!(faults(&there), ["root.subject", "root.key_type"]);
    let there = there.replace("subject = \"CN=Example Root CA,O=Example\"\n", "").replace("key_type = \"p384\"\n", "");
    assert!(matches!(Script::parse(&there).expect("a script").root.key, RootKey::Token { make: None, .. }));
}

/// A transcript of lists 1 to 3, the last two sealed.
fn sealed_lists() -> Summary {
    let day = |day| NOW.plus(Lifetime::from_days(day));
    let file = |number: u64, name: &str| {
        let entry = Entry::new(NOW, "file").with("file", name).with("number", number);
        entry.with("begins", day(365 * (number - 1))).with("ends", day(365 * (number - 1) + 395))
    };
    let mut entries = vec![file(1, "root-1.crl")];
    for number in [2, 3] {
        for name in [format!("root-{number}.crl"), format!("responder-{number}.key")] {
            let sealed = file(number, &format!("{name}.sealed")).with("opens_to", &name);
            entries.push(sealed.with("opens_to_sha256", "00"));
        }
    }
    let mut transcript = Transcript::default();
    read_chain(&entries.iter().map(|entry| transcript.append(entry)).collect::<String>()).expect("whole")
}

#[test]
fn what_is_sealed_is_opened_from_a_month_before_it_begins_until_it_ends() {
    let summary = sealed_lists();
    let begins = NOW.plus(Lifetime::from_days(365));
    let second = Lifetime::from_seconds(1);
    let from = begins.minus(Lifetime::from_days(30));
    let until = begins.plus(Lifetime::from_days(395));
    assert_eq!(
        opening(&summary, 2, from.minus(second)),
        Err(OpeningFault::TooEarly { number: 2, begins, now: from.minus(second) })
    );
    for now in [from, begins, until.minus(second)] {
        let opening = opening(&summary, 2, now).expect("its time has come");
        let names: Vec<&str> = opening.files.iter().map(|file| file.opens_to.as_str()).collect();
        assert_eq!((opening.begins, &names[..]), (begins, &["root-2.crl", "responder-2.key"][..]));
    }
    assert_eq!(opening(&summary, 2, until), Err(OpeningFault::Ended { number: 2, ends: until, now: until }));
    for unsealed in [1, 4] {
        let there = vec![2, 3];
        assert_eq!(opening(&summary, unsealed, from), Err(OpeningFault::NotSealed { number: unsealed, there }));
    }
    // Whole, and of a program that wrote something else.
    let mut other = summary.clone();
    other.entries.iter_mut().filter(|entry| entry.details.contains_key("opens_to")).for_each(|entry| {
        entry.details.remove("ends");
    });
    assert_eq!(opening(&other, 2, from), Err(OpeningFault::Damaged { number: 2 }));
}

#[test]
fn lists_follow_each_other_with_a_month_of_overlap_and_none_outlives_the_root() {
    let script = Script::parse(SCRIPT).expect("a script");
    let lists = |script: &Script, past: &Past| -> Vec<ListPeriod> {
        let plan = plan(script, past, None, NOW).expect("a plan");
        assert_eq!((plan.acts.first(), plan.acts.last()), (Some(&Act::MakeRoot), Some(&Act::SignTranscript)));
        let list = |act: &Act| match act {
            Act::MakeList(period) => Some(*period),
            _ => None,
        };
        plan.acts.iter().filter_map(list).collect()
    };
    let three = lists(&script, &Past::default());
    assert_eq!(
        three.iter().map(|list| (list.number, list.is_sealed)).collect::<Vec<_>>(),
        [(1, false), (2, true), (3, true)]
    );
    for pair in three.windows(2) {
        assert_eq!(pair[0].next_update.since(pair[1].this_update), Lifetime::from_days(30));
        assert!(pair[0].next_update.since(pair[0].this_update) <= Lifetime::from_days(395));
    }
    // An emergency: above all that were made, the unopened ones destroyed.
    let past = Past { highest_number: 5, unopened: vec!["root-4.crl.sealed".to_owned()], ..Past::default() };
    assert_eq!(lists(&script, &past)[0].number, 6);
    let acts = plan(&script, &past, None, NOW).expect("a plan").acts;
    assert!(acts.contains(&Act::Destroy("root-4.crl.sealed".to_owned())));
    // A root that ends soon.
    let short = Script::parse(&SCRIPT.replace("7305d", "400d")).expect("a script");
    let two = lists(&short, &Past::default());
    assert_eq!(two.len(), 2);
    assert!(two.iter().all(|list| list.next_update <= NOW.plus(Lifetime::from_days(400))));
}

fn written() -> String {
    let mut transcript = Transcript::default();
    let entries = ["begin", "intent", "file", "end"].map(|act| Entry::new(NOW, act).with("file", "root.crt"));
    entries.iter().map(|entry| transcript.append(entry)).collect()
}

#[test]
fn a_transcript_that_is_whole_is_read_back_and_gone_on_with() {
    let text = written();
    let summary = read_chain(&text).expect("whole");
    assert_eq!(summary.entries.len(), 4);
    assert_eq!(summary.of("file").count(), 1);
    let longer = text.clone() + &Transcript::after(&summary).append(&Entry::new(NOW, "opened"));
    assert_eq!(read_chain(&longer).expect("whole").entries.len(), 5);
    assert!(statement(&text).as_str().starts_with("Cartorio CA"));
}

#[test]
fn every_changed_octet_of_a_transcript_is_found() {
    let text = written().into_bytes();
    for place in 0..text.len() {
        let mut changed = text.clone();
        changed[place] ^= 1;
        let found = String::from_utf8(changed).map_or(true, |changed| read_chain(&changed).is_err());
        assert!(found, "octet {place}");
    }
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for without in 0..lines.len() - 1 {
        let rest: String =
            lines.iter().enumerate().filter(|(index, _)| *index != without).map(|(_, line)| *line).collect();
        assert!(read_chain(&rest).is_err(), "line {without}");
    }
    // What is cut off at the end of a line shows by the signature, which is over all of it.
    assert_ne!(statement(&text), statement(&lines[..3].concat()));
    assert_eq!(read_chain(""), Err(TranscriptFault::CutOff));
}
