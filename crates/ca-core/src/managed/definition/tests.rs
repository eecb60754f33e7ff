use serde_json::{Value, json};

use super::*;

fn read(value: Value) -> ManagedDefinition {
    serde_json::from_value(value).expect("a definition")
}

fn least() -> Value {
    json!({"subject_alternative_names": ["dns:api.example.com"], "target": {"kind": "directory", "path": "/etc/web/tls"}})
}

fn with(changes: Value) -> Value {
    let mut definition = least();
    for (name, value) in changes.as_object().expect("an object") {
        definition[name] = value.clone();
    }
    definition
}

#[test]
fn what_is_not_said_has_its_default_and_comes_back_as_it_was_written() {
    let definition = read(least());
    assert_eq!(definition.check(), Ok(()));
    assert_eq!(definition.key_type, KeyType::P256);
    assert_eq!(definition.renew_before, RenewBefore::default());
    assert_eq!(definition.delivered_by, Deliverer::Service);
    assert_eq!((definition.overlap(), definition.parsed_validity()), (Ok(None), Ok(None)));
    let full = json!({
        "subject": "CN=api", "subject_alternative_names": ["dns:api.example.com", "ip:192.0.2.1"], "validity": "90d",
        "key_type": "rsa2048", "keep_key": true, "delivered_by": "worker", "renew_before": "30d",
        "target": {
            "kind": "secrets-manager", "secret": "tls/web", "region": "sa-east-1", "create": true, "layout": "pem",
            "kms_key": "alias/web", "tags": {"team": "web"}, "replicas": {"us-east-1": ""}
        },
        "hooks": ["codedeploy:shop/blue", "ecs:prod/web"],
        "endpoint": {"address": "[2001:db8::1]:443", "server_name": "api.example.com", "within": "5m"},
        "revoke_superseded_after": "24h",
    });
    let definition = read(full.clone());
    assert_eq!(definition.check(), Ok(()));
    assert_eq!(serde_json::to_value(&definition).expect("JSON"), full);
    assert_eq!(definition.target.to_string(), "secret tls/web in sa-east-1");
    let toml = toml::to_string(&definition).expect("TOML");
    assert_eq!(toml::from_str::<ManagedDefinition>(&toml).expect("a definition"), definition);
}

#[test]
fn what_is_unknown_or_no_value_is_refused_when_it_is_read() {
    for (changes, says) in [
        (json!({"surprise": 1}), "unknown field"),
        (json!({"key_type": "rsa1024"}), "not a key type"),
        (json!({"renew_before": "3/3"}), "a part of the lifetime"),
        (json!({"hooks": ["lambda:x/y"]}), "is no hook"),
        (json!({"delivered_by": "post"}), "unknown variant"),
        (json!({"target": {"kind": "directory", "path": "/x", "mode": 1}}), "unknown field"),
        (json!({"target": {"kind": "floppy"}}), "unknown variant"),
    ] {
        let error = serde_json::from_value::<ManagedDefinition>(with(changes)).expect_err("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn says_everything_that_is_wrong_at_once_and_where() {
    let definition = read(with(json!({
        "subject": "no name", "subject_alternative_names": ["dns:a.example.com", "api.example.com", "ip:x"], "validity": "0d",
        "target": {"kind": "directory", "path": "tls"},
        "endpoint": {"address": "www", "server_name": "a b", "within": "soon"},
        "revoke_superseded_after": "a day",
    })));
    let mut pointers: Vec<String> =
        definition.check().expect_err("problems").into_iter().map(|problem| problem.pointer).collect();
    pointers.sort();
    assert_eq!(
        pointers,
        [
            "/endpoint/address",
            "/endpoint/server_name",
            "/endpoint/within",
            "/revoke_superseded_after",
            "/subject",
            "/subject_alternative_names/1",
            "/subject_alternative_names/2",
            "/target/path",
            "/validity",
        ]
    );
    let nameless = read(with(json!({"subject_alternative_names": []})));
    assert_eq!(nameless.check().expect_err("a problem")[0].pointer, "/subject_alternative_names");
}

#[test]
fn paths_and_addresses_are_whole() {
    for path in ["", "tls", "/", "/etc/../tls", "/etc//tls", "/etc/tls/"] {
        let definition = read(with(json!({"target": {"kind": "directory", "path": path}})));
        assert_eq!(definition.check().expect_err(path)[0].pointer, "/target/path", "{path}");
    }
    let at =
        |address: &str| EndpointDefinition { address: address.to_owned(), server_name: None, within: default_within() };
    assert_eq!(at("www.example.com:443").host_and_port(), Some(("www.example.com", 443)));
    assert_eq!(at("[::1]:8443").host_and_port(), Some(("::1", 8443)));
    for address in ["www", ":443", "www:0", "www:65536", "::1:443", "https://www:443", "[www]:443", "w w:1"] {
        assert_eq!(at(address).host_and_port(), None, "{address}");
    }
}

#[test]
fn a_hook_is_read_as_it_is_written() {
    for text in ["codedeploy:shop/blue", "ecs:prod/web"] {
        assert_eq!(text.parse::<Hook>().map(|hook| hook.to_string()), Ok(text.to_owned()));
    }
    for text in ["", "ecs", "ecs:prod", "ecs:/web", "ecs:prod/", "ecs:a/b/c", "sns:a/b"] {
        assert!(text.parse::<Hook>().is_err(), "{text}");
    }
}
