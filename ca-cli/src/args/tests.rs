//! The help is part of the contract: a change of it shows in review. `testdata/help/COMMAND.txt` is what
//! `ca-cli COMMAND --help | cat` prints.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn help_of(path: &[&str]) -> String {
    let arguments = std::iter::once("ca-cli").chain(path.iter().copied()).chain(["--help"]);
    let error = Cli::command().term_width(100).try_get_matches_from(arguments).expect_err("help");
    assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{error}");
    error.to_string()
}

/// Makes a test for every help text, so that each names itself when it differs.
macro_rules! help_texts {
    ($($name:ident: $path:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let golden = include_str!(concat!("testdata/help/", stringify!($name), ".txt"));
                assert_eq!(help_of(&$path), golden);
            }
        )+

        #[test]
        fn every_command_has_its_golden_help() {
            let golden: Vec<String> = vec![$($path.join(" ")),+];
            let mut commands = Vec::new();
            collect(&Cli::command(), "", &mut commands);
            let missing: Vec<&String> = commands.iter().filter(|command| !golden.contains(command)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

fn collect(command: &clap::Command, above: &str, commands: &mut Vec<String>) {
    for subcommand in command.get_subcommands() {
        let path = format!("{above} {}", subcommand.get_name()).trim().to_owned();
        collect(subcommand, &path, commands);
        commands.push(path);
    }
}

const TOP: [&str; 0] = [];

help_texts! {
    top: TOP;
    issue: ["issue"];
    renew: ["renew"];
    revoke: ["revoke"];
    unhold: ["unhold"];
    list: ["list"];
    show: ["show"];
    verify: ["verify"];
    bootstrap: ["bootstrap"];
    authority: ["authority"];
    authority_list: ["authority", "list"];
    authority_show: ["authority", "show"];
    authority_export_key: ["authority", "export-key"];
    authority_export_root_key: ["authority", "export-root-key"];
    authority_publish_crl: ["authority", "publish-crl"];
    authority_rollover: ["authority", "rollover"];
    authority_destroy_key: ["authority", "destroy-key"];
    authority_compromise_drill: ["authority", "compromise-drill"];
    profile: ["profile"];
    profile_list: ["profile", "list"];
    profile_show: ["profile", "show"];
    token: ["token"];
    token_create: ["token", "create"];
    token_list: ["token", "list"];
    token_delete: ["token", "delete"];
    audit: ["audit"];
    audit_list: ["audit", "list"];
    audit_verify: ["audit", "verify"];
    outbox: ["outbox"];
    outbox_list: ["outbox", "list"];
    outbox_replay: ["outbox", "replay"];
    renewal_window: ["renewal-window"];
    renewal_window_move: ["renewal-window", "move"];
    renewal_window_list: ["renewal-window", "list"];
    renewal_window_restore: ["renewal-window", "restore"];
    managed: ["managed"];
    managed_add: ["managed", "add"];
    managed_apply: ["managed", "apply"];
    managed_list: ["managed", "list"];
    managed_show: ["managed", "show"];
    managed_status: ["managed", "status"];
    managed_rotate: ["managed", "rotate"];
    managed_pause: ["managed", "pause"];
    managed_resume: ["managed", "resume"];
    managed_remove: ["managed", "remove"];
    gateway: ["gateway"];
    gateway_run: ["gateway", "run"];
    gateway_check: ["gateway", "check"];
    gateway_list: ["gateway", "list"];
    gateway_remove: ["gateway", "remove"];
    agent: ["agent"];
    agent_run: ["agent", "run"];
    agent_status: ["agent", "status"];
    worker: ["worker"];
    ceremony: ["ceremony"];
    ceremony_plan: ["ceremony", "plan"];
    ceremony_run: ["ceremony", "run"];
    ceremony_verify: ["ceremony", "verify"];
    ceremony_open: ["ceremony", "open"];
    completions: ["completions"];
    man: ["man"];
}

fn kind_of(arguments: &[&str]) -> Option<ErrorKind> {
    let arguments = std::iter::once("ca-cli").chain(arguments.iter().copied());
    Cli::try_parse_from(arguments).err().map(|error| error.kind())
}

#[test]
fn the_definitions_contradict_each_other_nowhere() {
    Cli::command().debug_assert();
}

#[test]
fn what_does_not_go_together_is_refused() {
    for arguments in [
        &["--local", "pki", "--url", "https://x", "list"][..],
        &["issue", "client"],
        &["issue", "--batch", "names.csv", "client", "cliente"],
        &["issue", "client", "cliente", "--csr", "x.csr", "--key-type", "p256"],
        &["issue", "client", "cliente", "--csr", "x.csr", "--p12"],
        &["issue", "client", "cliente", "--p12-password-file", "x"],
        &["renew", "cliente.crt", "--reuse-key", "--key-type", "p256"],
        &["verify", "cliente.crt", "--offline", "--ocsp"],
        &["list", "--name", "a", "--serial", "0a"],
        &["revoke", "cliente.crt", "--reason", "keycompromise"],
        &["token", "create", "client"],
        &["renewal-window", "move", "--within", "1d"],
        &["renewal-window", "move", "--authority", "tls"],
        &["managed", "add", "web", "--profile", "server"],
        &["managed", "add", "web", "--profile", "server", "--directory", "/a", "--secret", "a"],
        &["managed", "add", "web", "--profile", "server", "--pkcs12", "/a"],
        &["managed", "add", "web", "--profile", "server", "--directory", "/a", "--region", "sa-east-1"],
        &["managed", "show", "Web!"],
        &["authority", "compromise-drill", "tls", "--confirm", "tls"],
        &["managed", "apply", "-f", "x.toml", "--yes", "--dry-run"],
        &["worker"],
        &["worker", "--directory", "/srv", "--at-once", "0"],
        &["worker", "--directory", "/srv", "--aws-region", "sa-east-1"],
        &["outbox", "replay"],
        &["outbox", "replay", "--all", "0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21"],
        &["outbox", "replay", "42"],
        &["outbox", "list", "--state", "lost"],
    ] {
        assert!(kind_of(arguments).is_some(), "{arguments:?}");
    }
}

#[test]
fn flags_about_the_connection_stand_before_or_after_the_command() {
    for arguments in [
        &["--local", "./pki", "issue", "client", "cliente"][..],
        &["issue", "client", "cliente", "--local", "./pki"],
        &["authority", "list", "--output", "json", "--config", "x"],
        &["issue", "--batch", "names.csv", "--out", "certs"],
    ] {
        assert_eq!(kind_of(arguments), None, "{arguments:?}");
    }
}
