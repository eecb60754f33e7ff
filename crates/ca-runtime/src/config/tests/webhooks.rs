//! Webhooks, topics and queues, and how events are delivered.

use std::path::Path;

use super::{check, check_with, faults};

#[test]
fn webhooks_have_a_table_each_that_the_environment_overrides() {
    let config = check_with(
        "data_dir = \"/srv/ca\"\n[webhook.inventory]\nurl = \"https://a.example.org/ca\"\nsecret_file = \"a.secret\"\n\
         [webhook.audit-log]\nurl = \"http://localhost:9000/\"\nsecret_file = \"/run/b\"\nca_file = \"b.pem\"",
        &[
            ("CA__WEBHOOK__INVENTORY__URL", "https://c.example.org/ca"),
            ("CA__WEBHOOK__CHAT_ROOM__URL", "https://d.example.org/"),
            ("CA__WEBHOOK__CHAT_ROOM__SECRET_FILE", "d.secret"),
        ],
    )
    .expect("no fault");
    let shown: Vec<String> = config
        .webhooks
        .iter()
        .map(|webhook| format!("{} {:?} {}", webhook.name, webhook.address, webhook.secret_file.display()))
        .collect();
    assert_eq!(
        shown,
        [
            "audit-log WebhookAddress(http://localhost/…) /run/b",
            "chat-room WebhookAddress(https://d.example.org/…) /srv/ca/d.secret",
            "inventory WebhookAddress(https://c.example.org/…) /srv/ca/a.secret",
        ]
    );
    assert_eq!(config.webhooks[0].ca_file.as_deref(), Some(Path::new("/srv/ca/b.pem")));
    assert!(check("[webhook.inventory]").expect("an empty table").webhooks.is_empty());
}

#[test]
fn a_webhook_that_would_tell_the_wrong_ones_is_refused() {
    let secret = "secret_file = \"x\"\n";
    for (text, key, part) in [
        ("[webhook.a]\nurl = \"https://a.example.org\"", "`webhook.a.secret_file`", "openssl rand"),
        (&format!("[webhook.a]\n{secret}"), "`webhook.a.url`", "missing"),
        (&format!("[webhook.a]\nurl = \"http://a.example.org\"\n{secret}"), "`webhook.a.url`", "HTTPS alone"),
        (&format!("[webhook.a]\nurl = \"https://u:hunter2@a.example.org\"\n{secret}"), "`webhook.a.url`", "password"),
        (&format!("[webhook.A]\nurl = \"https://a.example.org\"\n{secret}"), "`webhook.A.url`", "lower-case"),
        (&format!("[webhook.a]\nurl = 1\n{secret}"), "`webhook.a.url`", "must be a string"),
        ("[webhook.a]\nsecret = \"hunter2\"", "`webhook.a.secret`", "unknown key"),
        ("webhook = \"https://a.example.org\"", "`webhook`", "must be a table"),
        ("[outbox]\nmax_attempts = 0", "`outbox.max_attempts`", "from 1 to 1000"),
        ("[outbox]\nmax_attempts = \"many\"", "`outbox.max_attempts`", "must be a whole number"),
        ("[outbox]\nfirst_retry = \"2d\"", "`outbox.first_retry`", "longer than"),
    ] {
        let found = faults(text, &[]);
        assert!(found.iter().any(|fault| fault.starts_with(key) && fault.contains(part)), "{text}: {found:?}");
        assert!(!found.join("\n").contains("hunter2"), "{found:?}");
    }
    let found = faults("", &[("CA__WEBHOOK__CHAT_ROOM__URL", "ftp://x"), ("CA__WEBHOOK__CHAT_ROOM__COLOUR", "red")]);
    assert!(found.iter().any(|fault| fault.starts_with("`CA__WEBHOOK__CHAT_ROOM__URL`")), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("COLOUR") && fault.contains("unknown key")), "{found:?}");
}

#[test]
fn topics_and_queues_have_a_table_each_and_no_two_sinks_one_name() {
    let topic = "[sns.inventory]\ntopic = \"arn:aws:sns:sa-east-1:111122223333:ca-events\"\n";
    let queue = "[sqs.audit-log]\nqueue = \"https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events\"\n";
    let config = check(&format!("{topic}{queue}")).expect("no fault");
    assert_eq!((config.topics.len(), config.queues.len(), config.makes_deployments), (1, 1, false));
    assert_eq!((config.topics[0].name.as_str(), config.topics[0].topic.region()), ("inventory", "sa-east-1"));
    assert!(config.has_sinks() && !check("").expect("empty").has_sinks());
    assert!(check("[deployments]\nenabled = true").expect("no fault").makes_deployments);
    for (text, key, part) in [
        ("[sns.a]\ntopic = \"ca-events\"", "`sns.a.topic`", "ARN of a topic"),
        ("[sqs.a]\nqueue = \"ca-events\"", "`sqs.a.queue`", "get-queue-url"),
        (&format!("{topic}{}", queue.replace("audit-log", "inventory")), "`sqs.inventory.queue`", "sns.inventory"),
        (&topic.replace("inventory", "deployments"), "`sns.deployments.topic`", "makes deployments"),
        ("[deployments]\nenabled = \"yes\"", "`deployments.enabled`", "must be `true` or `false`"),
        ("[notices]\ncertificates = [\"soon\"]", "`notices.certificates`", "`soon` is not a part"),
        ("[notices]\nauthorities = \"365d\"", "`notices.authorities`", "an array of strings"),
    ] {
        let found = faults(text, &[]);
        assert!(found.iter().any(|fault| fault.starts_with(key) && fault.contains(part)), "{text}: {found:?}");
    }
    let found = faults("", &[("CA__SNS__A__TOPIC", "x"), ("CA__NOTICES__AUTHORITIES", "90d, 0d")]);
    assert!(found.iter().any(|fault| fault.starts_with("`CA__SNS__A__TOPIC`")), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("`0d` is not")), "{found:?}");
    assert!(check("[notices]\ncertificates = []").expect("none").notices.certificates.is_empty());
}
