//! Secrets come by the environment or a file of their own, from one place, and are shown nowhere.

use super::*;

#[test]
fn a_redis_is_named_by_its_address_and_its_password_is_shown_nowhere() {
    assert_eq!(check("").expect("no fault").redis, None);
    let config = check("[redis]\nurl = \"rediss://cache.example.org:6380\"\nca_file = \"redis.pem\"\nttl = \"1m\"");
    let redis = config.expect("no fault").redis.expect("a Redis");
    assert_eq!((redis.address.place(), redis.address.is_encrypted()), ("cache.example.org:6380", true));
    assert_eq!(
        (redis.ca_file.as_deref(), redis.lifetime),
        (Some(Path::new("./ca-data/redis.pem")), Lifetime::from_seconds(60))
    );
    let config = check_with("", &[("CA__REDIS__URL", "redis://:hunter2@localhost")]).expect("no fault");
    assert!(!format!("{config:?}").contains("hunter2"));
    for (text, expected) in [
        ("[redis]\nurl = \"redis://:hunter2@localhost\"", "redis.url_file"),
        ("[redis]\nurl = \"memcached://localhost\"", "not the URL of a Redis"),
        ("[redis]\nurl = \"redis://localhost\"\nurl_file = \"redis.url\"", "set one of them"),
        ("[redis]\nurl = \"redis://localhost\"\nca_file = \"redis.pem\"", "rediss://"),
        ("[redis]\nttl = \"0s\"", "zero"),
    ] {
        let found = faults(text, &[]);
        assert!(found.len() == 1 && found[0].contains(expected) && !found[0].contains("hunter2"), "{text}: {found:?}");
    }
    let found = faults("", &[("CA__REDIS__URL", "redis://:hunter2@/0")]).join("\n");
    assert!(found.starts_with("`CA__REDIS__URL`") && !found.contains("hunter2"), "{found}");
}

#[test]
fn secrets_are_refused_in_the_file_and_shown_nowhere() {
    for text in [
        "[seal]\npassphrase = \"hunter2hunter2\"",
        "[seal.responders]\npassphrase = 2718281828",
        "[database]\nurl = \"postgres://ca:hunter2@db/ca\"",
        "[database]\nurl = \"postgres://ca:p@ss:hunter2@db/ca?x\"",
        "[public]\nbase_url = \"http://user:hunter2@pki.example.org\"",
        "[seal]\npassphrase = \"hunter2\nhunter2\"",
    ] {
        let found = faults(text, &[]).join("\n");
        assert!(!found.contains("hunter2") && !found.contains("2718281828"), "{found}");
    }
    let found = faults("[database]\nurl = \"postgres://ca:hunter2@db/ca\"", &[]).join("\n");
    assert!(found.contains("database.url_file") && found.contains("CA__DATABASE__URL"), "{found}");
    let found = faults("", &[("CA__DATABASE__URL", "mysql://ca:hunter2@db/ca")]).join("\n");
    assert!(found.starts_with("`CA__DATABASE__URL`") && !found.contains("hunter2"), "{found}");

    let config = check_with("", &[("CA__SEAL__PASSPHRASE", "hunter2hunter2")]).expect("no fault");
    assert!(!format!("{config:?}").contains("hunter2"));
    let SealSource::Passphrase(PassphraseSource::Environment { passphrase, .. }) = &config.seal.authorities else {
        panic!("from the environment")
    };
    assert_eq!(passphrase.expose_secret(), "hunter2hunter2");
}

#[test]
fn of_two_sources_of_one_secret_the_environment_s_holds_and_two_in_one_place_are_a_fault() {
    let file = "[seal]\npassphrase_file = \"here\"";
    let config = check_with(file, &[("CA__SEAL__PASSPHRASE", "from the environment")]).expect("no fault");
    assert!(matches!(
        config.seal.authorities,
        SealSource::Passphrase(PassphraseSource::Environment { variable: "CA__SEAL__PASSPHRASE", .. })
    ));
    let config = check(file).expect("no fault");
    assert!(matches!(
        config.seal.authorities,
        SealSource::Passphrase(PassphraseSource::File(path)) if path == Path::new("./ca-data/here")
    ));
    let found = faults("", &[("CA__SEAL__PASSPHRASE", "x"), ("CA__SEAL__PASSPHRASE_FILE", "y")]);
    assert_eq!(found, ["`CA__SEAL__PASSPHRASE`: both it and `CA__SEAL__PASSPHRASE_FILE` are set; set one of them"]);
}
