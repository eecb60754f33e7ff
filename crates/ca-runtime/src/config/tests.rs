//! Every rule of the configuration, by what an operator would write.

use std::net::SocketAddr;

use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::name::Uri;
use ca_core::time::Lifetime;
use ca_engine::engine::{NoncePolicy, PartialLists};
use proptest::{prop_assert, proptest};
use secrecy::ExposeSecret;

use super::keys::{KEYS, Kind, environment_name};
use super::*;

mod aws;
mod pkcs11;
mod secrets;
mod webhooks;

fn check(text: &str) -> Result<Config, Vec<ConfigFault>> {
    Config::check(text, [])
}

fn check_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<ConfigFault>> {
    Config::check(text, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// The faults as the operator reads them.
fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    check_with(text, environment).map(|_| ()).expect_err(text).iter().map(ToString::to_string).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn an_empty_file_gives_the_documented_defaults() {
    let config = check("").expect("no fault");
    assert_eq!(config.data_dir, Path::new("./ca-data"));
    assert_eq!(config.listen.api, address("127.0.0.1:8443"));
    assert_eq!(config.listen.public, address("127.0.0.1:8080"));
    assert_eq!(config.listen.admin, address("127.0.0.1:9090"));
    assert_eq!(config.public.base_url, None);
    assert_eq!(file_of(&config), Path::new("./ca-data/ca.db"));
    let ApiConfig::Own { names } = &config.api else { panic!("{:?}", config.api) };
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["dns:localhost", "ip:127.0.0.1"]);
    assert_eq!(config.status.ocsp_validity, Lifetime::from_seconds(3_600));
    assert_eq!(config.status.max_age, Lifetime::from_seconds(5));
    assert_eq!(config.status.crl_validity, Lifetime::from_days(7));
    assert_eq!(config.status.crl_interval, Lifetime::from_days(1));
    let authorities = &config.authorities;
    assert_eq!(authorities.root.key, KeyPlan::Software(KeyType::Rsa4096));
    assert_eq!(authorities.tls.key, KeyPlan::Software(KeyType::P256));
    assert_eq!(authorities.document.key, KeyPlan::Software(KeyType::Rsa2048));
    assert_eq!(authorities.root.subject.common_names(), ["Cartorio Digital Root CA"]);
    assert_eq!(authorities.root.validity, Lifetime::from_days(7_305));
    assert_eq!(config.policies.dir, None);
    assert!(config.seal.responders.is_none());
    assert!(matches!(
        &config.seal.authorities,
        SealSource::Passphrase(PassphraseSource::File(path)) if path == Path::new("./ca-data/seal.passphrase")
    ));
}

/// The template is documentation: it must say what is so.
#[test]
fn the_template_shows_every_key_and_the_true_defaults() {
    assert_eq!(
        format!("{:?}", check(TEMPLATE).expect("all commented out")),
        format!("{:?}", check("").expect("empty"))
    );
    let examples = [
        "permitted_subtrees",
        "excluded_subtrees",
        "rollover_every",
        "certificate_file",
        "key_file",
        "base_url",
        "listen_url",
        "dir",
        "passphrase_file",
        "url = \"https",
        "url = \"rediss",
        "secret_file",
        "ca_file",
        "bucket",
        "kms_key",
        "region",
        "endpoint_url",
        "token",
        "module",
        "pin_file",
        "sessions",
        "topic",
        "queue",
        "signature",
        "signers",
        "administrators",
        "secrets = ",
    ];
    let uncommented = |line: &str| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).map(str::to_owned);
    let of_examples = |line: &str| examples.iter().any(|key| line.starts_with(key));
    let defaults: Vec<String> = TEMPLATE
        .lines()
        .map(|line| uncommented(line).filter(|rest| !of_examples(rest)).unwrap_or_else(|| line.to_owned()))
        .collect();
    let written = check(&defaults.join("\n")).expect("its values are the defaults");
    assert_eq!(format!("{written:?}"), format!("{:?}", check("").expect("empty")));

    let all: Vec<String> = TEMPLATE.lines().map(|line| uncommented(line).unwrap_or_else(|| line.to_owned())).collect();
    let all = all.join("\n");
    check(&all).expect("its examples are valid");
    let table: toml::Table = all.parse().expect("TOML");
    // Of two that exclude each other one is shown.
    let unshown = [
        "authority.tls.signature",
        "data_dir",
        "database.url_file",
        "database.listen_url_file",
        "redis.url_file",
        "seal.key",
        "seal.responders.key",
    ];
    for (key, kind) in KEYS.iter().filter(|(key, kind)| *kind != Kind::Secret && !unshown.contains(key)) {
        let found = key.split('.').try_fold(toml::Value::Table(table.clone()), |value, part| value.get(part).cloned());
        assert!(found.is_some(), "{key} ({kind:?}) is not in the template");
    }
}

#[test]
fn the_way_to_listen_is_the_server_s_own() {
    let with = |listen: &str| {
        check(&format!("[database]\nurl = \"postgres://ca@pooler/ca?pooler=transaction\"\nlisten_url = \"{listen}\""))
    };
    let config = with("postgres://ca@server/ca").expect("no fault");
    assert!(matches!(config.database, DatabaseConfig::Postgres { listen: Some(_), .. }));
    let through = with("postgres://ca@pooler/ca?pooler=transaction").expect_err("nobody can listen there");
    assert!(through[0].to_string().contains("name the server itself"), "{through:?}");
    let faults = check("[database]\nlisten_url = \"sqlite:ca.db\"").expect_err("no server");
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn the_memory_for_answers_is_bounded_by_what_is_written() {
    assert_eq!(check("").expect("no fault").status.cache, 64 << 20);
    assert_eq!(check("[status]\ncache = \"0\"").expect("no fault").status.cache, 0);
    let faults = check("[status]\ncache = \"64 megabytes\"").expect_err("no number of octets");
    assert!(faults[0].to_string().contains("64MiB"), "{faults:?}");
}

#[test]
fn the_environment_overrides_the_file() {
    let config = check_with(
        "[listen]\napi = \"127.0.0.1:1\"\n[api]\nnames = [\"a.example\"]",
        &[
            ("CA__LISTEN__API", "127.0.0.1:2"),
            ("CA__API__NAMES", "b.example, 10.0.0.1 ,"),
            ("CA__DATA_DIR", "/srv/pki"),
            ("CA__AUTHORITY__ROOT__KEY", "software:p384"),
            ("PATH", "/bin"),
            ("CA_URL", "of the command line"),
        ],
    )
    .expect("no fault");
    assert_eq!(config.listen.api, address("127.0.0.1:2"));
    assert_eq!(config.data_dir, Path::new("/srv/pki"));
    assert_eq!(file_of(&config), Path::new("/srv/pki/ca.db"));
    assert_eq!(config.authorities.root.key, KeyPlan::Software(KeyType::P384));
    let ApiConfig::Own { names } = &config.api else { panic!("{:?}", config.api) };
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["dns:b.example", "ip:10.0.0.1"]);
}

#[test]
fn every_key_can_be_set_by_the_environment() {
    for (key, _) in KEYS {
        let faults = check_with("", &[(&environment_name(key), "\u{0}")]).map_err(|faults| format!("{faults:?}"));
        assert!(!faults.as_ref().is_err_and(|faults| faults.contains("UnknownKey")), "{key}: {faults:?}");
    }
}

#[test]
fn tells_every_fault_at_once() {
    let found = faults(
        "colour = 1\n[listen]\napi = \"nowhere\"\nadmin = 9090\n[status]\nmax_age = \"soon\"\n[authority.tls]\nkey = \"p256\"",
        &[("CA__STATUS__CRL_VALIDTY", "7d")],
    );
    assert_eq!(found.len(), 6, "{found:#?}");
    for (key, part) in [
        ("`colour`", "unknown key"),
        ("`listen.api`", "not an address and a port"),
        ("`listen.admin`", "must be a string, not integer"),
        ("`status.max_age`", "not a length of time"),
        ("`authority.tls.key`", "software:p256"),
        ("`CA__STATUS__CRL_VALIDTY`", "did you mean `CA__STATUS__CRL_VALIDITY`?"),
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(key) && fault.contains(part)), "{key}: {found:#?}");
    }
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    assert_eq!(faults("[listen]\napii = \"x\"", &[]), ["`listen.apii`: unknown key; did you mean `listen.api`?"]);
    assert_eq!(faults("[xyzzy]\na = 1", &[]), ["`xyzzy`: unknown key"]);
    assert_eq!(faults("listen = 1", &[]), ["`listen`: must be a table of keys, not integer"]);
    assert_eq!(faults("[listen.api]\nport = 1", &[]), ["`listen.api`: must be a string, not table"]);
    assert_eq!(
        faults("[authority.root]\npermitted_subtrees = []", &[]).len(),
        1,
        "a trust anchor's constraints are not processed"
    );
}

#[test]
fn what_this_version_does_not_have_is_refused_not_ignored() {
    let found = faults("[oidc.google]\nissuer = \"https://accounts.google.com\"", &[]);
    assert!(found.len() == 1 && found[0].contains("not supported in this version"), "{found:?}");
    let found = faults("", &[("CA__OIDC__GOOGLE__ISSUER", "https://x")]);
    assert!(found.len() == 1 && found.iter().all(|fault| fault.contains("not supported")), "{found:?}");
}

#[test]
fn a_seal_is_a_passphrase_or_a_key_and_never_both() {
    const ARN: &str = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let kms = |source: &SealSource| matches!(source, SealSource::Kms(arn) if arn.as_str() == ARN);
    let config = check(&format!("[seal]\nkey = \"kms:{ARN}\"\n[seal.responders]\npassphrase_file = \"here\""))
        .expect("no fault");
    assert!(kms(&config.seal.authorities));
    assert!(matches!(config.seal.responders, Some(SealSource::Passphrase(PassphraseSource::File(_)))));
    let key = format!("kms:{ARN}");
    let environment = [("CA__SEAL__KEY", key.as_str()), ("CA__SEAL__RESPONDERS__KEY", key.as_str())];
    let config = check_with("[seal]\npassphrase_file = \"here\"", &environment).expect("no fault");
    assert!(kms(&config.seal.authorities) && config.seal.responders.as_ref().is_some_and(kms), "the environment's");
    for (text, hint) in [
        (format!("key = \"{ARN}\""), "write the key as `kms:ARN`"),
        ("key = \"kms:alias/ca\"".to_owned(), "it is not the ARN of a KMS key"),
        ("key = \"kms:arn:aws:kms:sa-east-1:111122223333:alias/ca\"".to_owned(), "it is an alias"),
        (format!("key = \"kms:{ARN}\"\npassphrase_file = \"here\""), "both it and `seal.passphrase_file` are set"),
    ] {
        let found = faults(&format!("[seal]\n{text}"), &[]);
        assert!(found.len() == 1 && found[0].contains(hint), "{text}: {found:?}");
        let found = faults(&format!("[seal.responders]\n{text}"), &[]);
        assert!(found.len() == 1, "{text}: {found:?}");
    }
}

#[test]
fn nonces_are_allowed_passed_over_or_required() {
    for (text, nonce) in [
        ("", NoncePolicy::Allow),
        ("[status]\nnonce = \"allow\"", NoncePolicy::Allow),
        ("[status]\nnonce = \"ignore\"", NoncePolicy::Ignore),
        ("[status]\nnonce = \"require\"", NoncePolicy::Require),
    ] {
        assert_eq!(check(text).expect("no fault").status.nonce, nonce);
    }
    let found = faults("[status]\nnonce = \"maybe\"", &[]);
    assert!(found.len() == 1 && found[0].contains("`allow`, `ignore` or `require`"), "{found:?}");
}

#[test]
fn base_urls_are_such_that_others_can_use_them() {
    let base_url = |text: &str, listen: &str| {
        check_with("", &[("CA__PUBLIC__BASE_URL", text), ("CA__LISTEN__PUBLIC", listen)])
            .map(|config| config.public.base_url.map(|url| url.to_string()))
            .map_err(|faults| faults[0].to_string())
    };
    for (text, normal) in [
        ("http://pki.example.org", "http://pki.example.org"),
        ("http://pki.example.org/", "http://pki.example.org"),
        ("http://pki.example.org:8080/pki/v1/", "http://pki.example.org:8080/pki/v1"),
        ("http://192.0.2.1", "http://192.0.2.1"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]:80"),
    ] {
        assert_eq!(base_url(text, "0.0.0.0:80"), Ok(Some(normal.to_owned())), "{text}");
    }
    for text in
        ["http://localhost:8080", "http://127.0.0.1", "http://127.9.9.9", "http://[::1]:8080", "http://pki.localhost"]
    {
        assert!(base_url(text, "127.0.0.1:8080").is_ok(), "{text}");
        assert!(base_url(text, "0.0.0.0:8080").expect_err(text).contains("loopback"), "{text}");
    }
    for text in [
        "",
        "pki.example.org",
        "http://",
        "http:///x",
        "https://pki.example.org",
        "ftp://pki.example.org",
        "http://a b",
        "http://pki.example.org?x=1",
        "http://pki.example.org/#f",
        "http://pki.example.org/a b",
        "http://pki.example.org:0",
        "http://pki.example.org:99999",
        "http://pki.example.org:",
        "http://0.0.0.0",
        "http://[::]",
        "http://[::1",
        "http://me@pki",
        "http://pki.example.org/%41",
        "http://*.example.org",
    ] {
        assert!(base_url(text, "127.0.0.1:8080").is_err(), "{text}");
    }
}

#[test]
fn listeners_do_not_share_an_address() {
    let found = faults("[listen]\napi = \"127.0.0.1:80\"\npublic = \"127.0.0.1:80\"", &[]);
    assert!(found.len() == 1 && found[0].contains("`listen.api` already"), "{found:?}");
    check("[listen]\napi = \"127.0.0.1:0\"\npublic = \"127.0.0.1:0\"").expect("the system chooses two ports");
}

#[test]
fn authorities_are_such_that_they_can_be_made() {
    let found = faults("[authority.root]\nvalidity = \"30d\"\n[authority.tls]\nvalidity = \"30d\"", &[]);
    assert!(found.len() == 1 && found[0].starts_with("`authority.document.validity`"), "{found:?}");
    let found = faults("[authority.tls]\nsubject = \"CN=Cartorio Digital Root CA,O=Cartorio Digital\"", &[]);
    assert!(found.len() == 1 && found[0].contains("the same name as `authority.root.subject`"), "{found:?}");
    for (key, value) in
        [("subject", "\"\""), ("subject", "\"no name\""), ("validity", "\"0d\""), ("key", "\"software:rsa1024\"")]
    {
        let found = faults(&format!("[authority.root]\n{key} = {value}"), &[]);
        assert!(found.iter().any(|fault| fault.starts_with(&format!("`authority.root.{key}`"))), "{key}: {found:?}");
    }
    let config =
        check("[authority.tls]\npermitted_subtrees = [\"dns:example.org\", \"ip:10.0.0.0/8\"]").expect("no fault");
    assert_eq!(config.authorities.tls.name_constraints.permitted.len(), 2);
    assert!(check("[authority.tls]\npermitted_subtrees = [\"nonsense\"]").is_err());
}

#[test]
fn status_lives_long_enough_to_be_renewed() {
    assert_eq!(faults("[status]\nmax_age = \"2h\"", &[]).len(), 1);
    assert_eq!(faults("[status]\ncrl_interval = \"7d\"", &[]).len(), 1);
    assert_eq!(faults("[status]\nocsp_validity = \"0s\"", &[]).len(), 1);
}

#[test]
fn the_api_s_own_certificate_needs_names_and_a_given_one_its_key() {
    assert_eq!(faults("[api]\nnames = []", &[]).len(), 1);
    assert_eq!(faults("[api]\nnames = [\"me@example.org\"]", &[]).len(), 1);
    assert_eq!(faults("[api]\ncertificate_file = \"a.crt\"", &[]).len(), 1);
    assert_eq!(faults("[api]\nkey_file = \"a.key\"", &[]).len(), 1);
    let config = check("[api]\ncertificate_file = \"a.crt\"\nkey_file = \"/etc/a.key\"").expect("no fault");
    assert_eq!(
        config.api,
        ApiConfig::Given { certificate_file: "./ca-data/a.crt".into(), key_file: "/etc/a.key".into() }
    );
}

fn file_of(config: &Config) -> &Path {
    let DatabaseConfig::Sqlite { path } = &config.database else { panic!("{:?}", config.database) };
    path
}

#[test]
fn the_database_is_a_file() {
    for (url, path) in
        [("sqlite:ca.db", "./ca-data/ca.db"), ("sqlite://x/y.db", "./ca-data/x/y.db"), ("sqlite:///v/y.db", "/v/y.db")]
    {
        let config = check_with("", &[("CA__DATABASE__URL", url)]).expect(url);
        assert_eq!(file_of(&config), Path::new(path));
    }
    for url in ["", "ca.db", "sqlite:", "sqlite::memory:", "sqlite:ca.db?mode=memory", "mysql://db/ca"] {
        assert!(check_with("", &[("CA__DATABASE__URL", url)]).is_err(), "{url}");
    }
}

#[test]
fn the_database_s_url_may_lie_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("url");
    std::fs::write(&file, "sqlite:/srv/ca.db\n").expect("written");
    let environment = [("CA__DATABASE__URL_FILE", file.to_str().expect("text"))];
    let config = check_with("[database]\nurl = \"sqlite:other.db\"", &environment).expect("no fault");
    assert_eq!(file_of(&config), Path::new("/srv/ca.db"));
    std::fs::write(&file, "postgres://ca:hunter2@db/ca").expect("written");
    let config = check_with("", &environment).expect("no fault");
    assert!(matches!(config.database, DatabaseConfig::Postgres { .. }) && !format!("{config:?}").contains("hunter2"));
    std::fs::write(&file, "postgres://ca:hunter2@db/ca?sslmod=verify-full").expect("written");
    let found = faults("", &environment);
    assert!(found.len() == 1 && found[0].contains("unknown parameter `sslmod`"), "{found:?}");
    assert!(!found[0].contains("hunter2"), "{found:?}");
    assert!(faults("[database]\nurl_file = \"/absent\"", &[])[0].contains("/absent cannot be read"));
}

#[test]
fn says_where_a_file_is_not_toml_and_quotes_nothing() {
    let found = faults("[seal]\npassphrase_file = hunter2", &[]);
    assert!(found.len() == 1 && found[0].contains("line 2, column 19") && !found[0].contains("hunter2"), "{found:?}");
}

#[test]
fn values_that_are_not_text_are_refused() {
    assert!(check_with("", &[("CA__SEAL__PASSPHRASE", "pass\u{fffd}phrase")]).is_err());
}

#[test]
fn development_is_loopback_and_its_certificates_carry_its_urls() {
    let config = check("").expect("no fault").for_development("/here".into()).expect("loopback");
    assert_eq!(config.public.base_url.map(|url| url.to_string()).as_deref(), Some("http://127.0.0.1:8080"));
    let found = check("[listen]\nadmin = \"0.0.0.0:9090\"")
        .expect("no fault")
        .for_development("/here".into())
        .map(|_| ())
        .expect_err("not loopback");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "listen.admin");
}

#[test]
fn finds_the_file_and_knows_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    let environment = [("CA__DATA_DIR".to_owned(), folder.path().display().to_string())];
    assert_eq!(Config::load(None, &environment).expect("no file is no fault").data_dir, folder.path());

    std::fs::write(&file, "[status]\nmax_age = \"7s\"").expect("written");
    let config = Config::load(None, &environment).expect("no fault");
    assert_eq!((config.data_dir.as_path(), config.status.max_age), (folder.path(), Lifetime::from_seconds(7)));
    let elsewhere = [("CA__DATA_DIR".to_owned(), "/elsewhere".to_owned())];
    assert_eq!(Config::load_folder(folder.path(), &elsewhere).expect("no fault").data_dir, folder.path());
    assert_eq!(Config::load(Some(&file), &elsewhere).expect("no fault").data_dir, Path::new("/elsewhere"));
    let variable = [("CA_SERVER_CONFIG".to_owned(), file.display().to_string())];
    assert_eq!(Config::load(None, &variable).expect("no fault").status.max_age, Lifetime::from_seconds(7));

    std::fs::write(&file, "data_dir = \"/elsewhere\"\n").expect("written");
    assert!(matches!(Config::load_folder(folder.path(), &[]), Err(LoadError::Faulty { .. })));
    assert!(matches!(Config::load(Some(Path::new("/absent")), &[]), Err(LoadError::Unreadable { .. })));
}

proptest! {
    /// Whatever is written, it is judged: no panic, and no fault without a key.
    #[test]
    fn judges_anything(text in "(\\[(listen|public|seal|api|authority\\.tls|database)\\]\n)?[a-z_.]{0,24} ?= ?.{0,40}") {
        if let Err(faults) = check(&text) {
            prop_assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.key.is_empty()));
        }
    }

    #[test]
    fn judges_any_value_of_any_key(index in 0..KEYS.len(), value in "\\PC{0,60}") {
        let (key, _) = KEYS[index];
        let _ = check_with("", &[(&environment_name(key), &value)]);
    }

    #[test]
    fn a_base_url_that_is_taken_is_written_as_clients_read_it(text in "http://[a-z0-9.:\\[\\]/%@?*-]{0,30}") {
        if let Ok(Some(url)) = check_with("", &[("CA__PUBLIC__BASE_URL", &text)]).map(|config| config.public.base_url) {
            prop_assert!(Uri::parse(&format!("{url}/crl/tls.crl")).is_ok(), "{}", url);
        }
    }
}

#[test]
fn an_anchor_that_is_not_named_is_whole_only_where_one_process_writes_the_record() {
    let anchor = |text: &str| check(text).expect("no fault").anchor;
    let default = anchor("");
    assert_eq!((default.dir.as_path(), default.is_whole), (Path::new("./ca-data/anchor"), true));
    let shared = "[database]\nurl = \"postgres://ca@db.example.com/ca\"\n";
    assert!(!anchor(shared).is_whole, "a new replica's own folder is empty");
    let named = anchor(&format!("{shared}[anchor]\ndir = \"/mnt/anchor\""));
    assert_eq!((named.dir.as_path(), named.is_whole), (Path::new("/mnt/anchor"), true));
    assert_eq!(faults("[anchor]\ndir = \"\"", &[]).len(), 1);
}

#[test]
fn what_has_expired_is_kept_for_ever_unless_a_length_of_time_is_given() {
    let kept = |text: &str| check(&format!("[retention]\n{text}")).expect("no fault").keep_expired;
    assert_eq!(check("").expect("no fault").keep_expired, None);
    assert_eq!(kept("expired = \"off\""), None);
    assert_eq!(kept("expired = \"30d\""), Some(Lifetime::from_days(30)));
    assert_eq!(kept("expired = \"400d\""), Some(Lifetime::from_days(400)));
    for (value, hint) in [
        ("719h", "719h is too short"),
        ("0s", "for 30d at least"),
        ("never", "`never` is neither `off`"),
        ("forever", "is neither `off` (certificates stay for ever)"),
        ("", "like 400d"),
    ] {
        let found = faults(&format!("[retention]\nexpired = \"{value}\""), &[]);
        assert!(found.len() == 1 && format!("{:?}", found).contains(hint), "{value}: {found:?}");
    }
}

#[test]
fn shards_and_deltas_are_off_and_need_an_address() {
    let lists = |config: &Config| (config.authorities.tls.partial_lists, config.authorities.document.partial_lists);
    let none = PartialLists::default();
    assert_eq!(lists(&check("").expect("no fault")), (none, none));
    let text = "[public]\nbase_url = \"http://pki.example.org\"\n[authority.tls]\nshards = 16\n[authority.document]\ndelta = true\n";
    let config = check(text).expect("no fault");
    assert_eq!(lists(&config), (PartialLists { shards: 16, delta: false }, PartialLists { shards: 0, delta: true }));
    let address = ("CA__PUBLIC__BASE_URL", "http://pki.example.org");
    let environment = [address, ("CA__AUTHORITY__TLS__SHARDS", "2"), ("CA__AUTHORITY__TLS__DELTA", "true")];
    assert_eq!(lists(&check_with("", &environment).expect("no fault")).0, PartialLists { shards: 2, delta: true });
    let without = faults("[authority.tls]\nshards = 2\ndelta = true\n", &[]);
    assert_eq!(without.len(), 2);
    assert!(without.iter().all(|fault| fault.contains("public.base_url")), "{without:?}");
    for (text, part) in [
        ("[authority.tls]\nshards = 1025\n", "from 0 to 1024"),
        ("[authority.tls]\nshards = -1\n", "from 0 to 1024"),
        ("[authority.tls]\nshards = \"2\"\n", "whole number"),
        ("[authority.tls]\ndelta = \"yes\"\n", "`true` or `false`"),
        ("[authority.root]\nshards = 2\n", "authority.root.shards"),
    ] {
        let found = faults(text, &[address]);
        assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:?}");
    }
    let flag = faults("", &[address, ("CA__AUTHORITY__TLS__DELTA", "yes")]);
    assert!(flag[0].contains("`true` or `false`"), "{flag:?}");
}

#[test]
fn an_authority_with_an_rsa_key_may_be_told_by_what_it_signs() {
    let config = check(
        "[authority.root]\nsignature = \"rsa-pss-sha384\"\n[authority.tls]\nkey = \"software:rsa3072\"\nsignature = \"rsa-pss-sha256\"",
    )
    .expect("no fault");
    let authorities = &config.authorities;
    assert_eq!(authorities.root.signature, Some(SignatureAlgorithm::RsaPssSha384));
    assert_eq!(authorities.tls.signature, Some(SignatureAlgorithm::RsaPssSha256));
    assert_eq!(authorities.document.signature, None);
    let from_outside = check_with("", &[("CA__AUTHORITY__DOCUMENT__SIGNATURE", "rsa-sha512")]).expect("no fault");
    assert_eq!(from_outside.authorities.document.signature, Some(SignatureAlgorithm::RsaSha512));
    // Of keys that lie elsewhere the type is not known here.
    let module = "[pkcs11.hsm]\nmodule = \"softhsm2\"\n";
    let elsewhere =
        format!("{module}[authority.tls]\nkey = \"pkcs11:token=hsm;object=tls\"\nsignature = \"rsa-pss-sha256\"");
    assert_eq!(check(&elsewhere).expect("no fault").authorities.tls.signature, Some(SignatureAlgorithm::RsaPssSha256));
    for (text, part) in [
        ("[authority.tls]\nsignature = \"rsa-pss-sha256\"", "the key is p256, which signs by ecdsa-with-SHA256 only"),
        ("[authority.tls]\nkey = \"software:rsa2048\"\nsignature = \"ecdsa-sha256\"", "rsa-pss-sha512"),
        (&format!("{elsewhere}\nkey_type = \"p384\""), "the key is p384"),
    ] {
        let found = faults(text, &[]);
        assert!(found.len() == 1 && found[0].contains("`authority.tls.signature`"), "{found:#?}");
        assert!(found[0].contains(part), "{found:#?}");
    }
}
