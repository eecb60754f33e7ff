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
        ["root.subject", "root.key", "root.validity", "root.previous"]
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
    assert_eq!(script.root.signature, SignatureAlgorithm::RsaPssSha256);
    let own = Script::parse(SCRIPT).expect("a good one").root.signature;
    assert_eq!(own, SignatureAlgorithm::EcdsaSha384);
    assert_eq!(faults(&told("p384", "rsa-pss-sha256")), ["root.signature"]);
    assert_eq!(faults(&told("rsa4096", "pss")), ["root.signature"]);
    let continued = told("rsa4096", "rsa-pss-sha256").replace("establish", "continue");
    assert!(faults(&continued).contains(&"root.signature".to_owned()), "it signs by what its certificate is signed by");
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
