//! `ca-cli agent`: a machine whose certificates renew themselves, beside a real nginx; through an absence of the service, past the end of
//! certificates, and through `kill -9`.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use ca_api::audit::AuditEvent;
use ca_api::certificate::Certificate;
use ca_e2e::cli::Terminal;
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::gateway_host::{Gateway, soon};
use ca_e2e::process::Process;
use ca_e2e::stack::{Site, Stack};
use ca_e2e::tools::{find, run};
use ca_test_services::port;
use serde_json::Value;

const SERVER: &str = include_str!("../../../policies/profiles/server.toml");

/// A machine with an agent, and an administrator of the service elsewhere.
struct Host {
    terminal: Terminal,
    administrator: Terminal,
}

impl Host {
    /// `environment` is what every program of the host is started with.
    fn beside(stack: &Stack, environment: &[(String, String)]) -> anyhow::Result<Self> {
        let mut terminal = Terminal::new()?;
        let mut administrator = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
        for (name, value) in environment {
            terminal.set(name, value);
            administrator.set(name, value);
        }
        terminal.set("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        terminal.write("ca.crt", &stack.root_pem()?)?;
        std::fs::create_dir(terminal.path("pki"))?;
        Ok(Self { terminal, administrator })
    }

    /// The configuration of certificates for hosts of these names: what is said of each besides.
    fn configure(&self, stack_url: &str, certificates: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut text = format!(
            "url = \"{stack_url}\"\nroot = \"ca.crt\"\nstate_dir = \"state\"\non_alert = [\"sh\", \"-c\", 'echo \"$1\" >> \
             alerts', \"alert\"]\n"
        );
        for (name, more) in certificates {
            text.push_str(&format!("[[certificate]]\nname = \"{name}\"\ndirectory = \"pki/{name}\"\n{more}\n"));
        }
        self.terminal.write("agent.toml", &text)
    }

    /// A token for a host, and the section that names it.
    fn enrolment(&self, name: &str, validity: &str) -> anyhow::Result<String> {
        let file = self.terminal.path(&format!("{name}.token"));
        let path = file.to_str().context("UTF-8")?;
        let host = format!("{name}.test");
        self.administrator.done(&["token", "create", "server", "--san", &host, "--out", path])?;
        Ok(format!(
            "[certificate.enrol]\nprofile = \"server\"\ntoken_file = \"{name}.token\"\nnames = [\"dns:{host}\"]\nvalidity = \
             \"{validity}\""
        ))
    }

    fn once(&self) -> [&'static str; 5] {
        ["agent", "run", "--config-file", "agent.toml", "--once"]
    }

    /// What `agent status` says of each certificate, by its name.
    fn state(&self, name: &str, code: i32) -> anyhow::Result<Value> {
        let status = ["--output", "json", "agent", "status", "--config-file", "agent.toml"];
        let outcome = self.terminal.run(&status)?.ended_with(code)?;
        let all: Vec<Value> = serde_json::from_str(&outcome.output)?;
        all.into_iter().find(|one| one["name"] == name).context("no such certificate")
    }

    /// Has everything renewed that was issued until now.
    fn move_windows(&self) -> anyhow::Result<()> {
        self.administrator.done(&["renewal-window", "move", "--profile", "server", "--within", "5s"])?;
        Ok(())
    }

    fn certificates(&self) -> anyhow::Result<Vec<Certificate>> {
        self.administrator.json(&["list", "--profile", "server"])
    }

    /// SHA-256 of the certificate in place.
    fn in_place(&self, name: &str) -> anyhow::Result<String> {
        let file = format!("pki/{name}/certificate.pem");
        let said = run("openssl", ["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"], self.terminal.folder())?;
        ensure!(said.succeeded, "{}", said.all());
        Ok(said.text())
    }

    /// nginx, which has its certificate from the agent.
    fn nginx(&self, port: u16) -> anyhow::Result<Gateway> {
        let folder = self.terminal.folder().display();
        let conf = format!(
            "daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;\n  \
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n  server {{\n    listen 127.0.0.1:{port} ssl;\n    \
             ssl_certificate pki/web/fullchain.pem;\n    ssl_certificate_key pki/web/key.pem;\n  }}\n}}\n"
        );
        self.terminal.write("nginx.conf", &conf)?;
        let conf = self.terminal.path("nginx.conf");
        let arguments = ["-e", "stderr", "-c", conf.to_str().context("UTF-8")?];
        Process::start(&find("nginx")?, &arguments, [("LC_ALL", "C")], self.terminal.folder()).map(Gateway)
    }

    /// SHA-256 of the certificate that somebody serves.
    fn served(&self, port: u16) -> anyhow::Result<Option<String>> {
        let script = format!(
            "openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
        );
        let said = run("sh", ["-c", &script], self.terminal.folder())?;
        Ok(said.succeeded.then(|| said.text()))
    }
}

fn nginx_path() -> anyhow::Result<PathBuf> {
    find("nginx")
}

#[test]
fn nginx_serves_what_the_agent_renewed() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let host = Host::beside(&stack, &[])?;
    let enrol = host.enrolment("web", "90d")?;
    let nginx = nginx_path()?.display().to_string();
    let conf = host.terminal.path("nginx.conf").display().to_string();
    let script = format!("echo told >> told; test ! -e nginx.pid || {nginx} -e stderr -c {conf} -s reload");
    let configure = |script: &str| {
        host.configure(&stack.api_url(), &[("web", &format!("reload = [\"sh\", \"-c\", \"{script}\"]\n{enrol}"))])
    };
    configure(&script)?;
    ensure!(host.state("web", 1)?["state"] == "missing");
    // 1. The first by a token.
    host.terminal.done(&host.once())?;
    ensure!(host.state("web", 0)?["state"] == "ok");
    let port = port::free()?;
    let _nginx = host.nginx(port)?;
    let first = host.in_place("web")?;
    soon("nginx serves the first", || Ok(host.served(port)?.filter(|served| *served == first)))?;
    ensure!(host.terminal.done(&host.once())?.contains("nothing was due"));
    ensure!(host.terminal.read("told")?.lines().count() == 1, "it is told once");
    // 2. Its successor, when the service wants it renewed.
    host.move_windows()?;
    soon("it is renewed", || Ok(host.terminal.done(&host.once())?.contains("1 put in place").then_some(())))?;
    let second = host.in_place("web")?;
    ensure!(second != first);
    soon("nginx serves the second", || Ok(host.served(port)?.filter(|served| *served == second)))?;
    // 3. A command that fails is run again until it does not; the certificate stays.
    configure("echo no such gateway >&2; exit 7")?;
    host.move_windows()?;
    let failed = |outcome: ca_e2e::outcome::Outcome| (outcome.said().contains("exit status: 7")).then_some(outcome);
    soon("the command fails", || Ok(failed(host.terminal.run(&host.once())?)))?.ended_with(1)?;
    let state = host.state("web", 1)?;
    ensure!(state["state"] == "unused", "{state}");
    ensure!(state["last_failure"].as_str().is_some_and(|said| said.contains("no such gateway")), "{state}");
    let third = host.in_place("web")?;
    configure(&script)?;
    host.terminal.done(&host.once())?;
    ensure!(host.state("web", 0)?["state"] == "ok");
    soon("nginx serves the third", || Ok(host.served(port)?.filter(|served| *served == third)))?;
    ensure!(host.certificates()?.len() == 3, "no more than was needed");
    Ok(())
}

#[test]
fn what_the_service_missed_is_made_up_for_in_the_order_of_need() -> anyhow::Result<()> {
    let mut site = Site::empty(&[])?;
    let policies = site.work_folder().join("policies");
    std::fs::create_dir_all(policies.join("profiles"))?;
    let allowed = SERVER.replace("until = \"0s\"", "until = \"0s\"\nafter_expiry = \"2d\"");
    std::fs::write(policies.join("profiles/server.toml"), allowed)?;
    site.set("CA__POLICIES__DIR", &policies.display().to_string());
    let (made, said) = site.run(&["init"])?;
    ensure!(made, "{said}");
    let clock = FakeClock::of(&mut site)?;
    let environment: Vec<(String, String)> = site
        .environment()
        .filter(|(name, _)| name.starts_with("FAKETIME") || *name == "LD_PRELOAD")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let stack = site.serve()?;
    let host = Host::beside(&stack, &environment)?;
    let [long, short, forbidden] =
        [("long", "3d"), ("short", "1d"), ("forbidden", "2d")].map(|(name, validity)| host.enrolment(name, validity));
    let (long, short, forbidden) = (long?, format!("after_expiry = true\n{}", short?), forbidden?);
    host.configure(&stack.api_url(), &[("long", &long), ("short", &short), ("forbidden", &forbidden)])?;
    host.terminal.done(&host.once())?;
    for name in ["long", "short", "forbidden"] {
        // A token that lies there would be another way.
        std::fs::remove_file(host.terminal.path(&format!("{name}.token")))?;
    }
    let before = host.in_place("short")?;
    // 1. The service is away for two days and a half: what is in place stays, and somebody is told.
    let (url, site) = (stack.api_url(), stack.kill());
    clock.set("+60h")?;
    host.terminal.run(&host.once())?.ended_with(1)?;
    ensure!(host.in_place("short")? == before);
    ensure!(host.state("short", 1)?["state"] == "expired" && host.state("long", 1)?["state"] == "warning");
    let alerts = host.terminal.read("alerts")?;
    for text in ["certificate short ended", "certificate forbidden ended", "certificate long ends"] {
        ensure!(alerts.contains(text), "{alerts}");
    }
    host.terminal.run(&host.once())?.ended_with(1)?;
    ensure!(host.terminal.read("alerts")? == alerts, "once");
    // 2. It is back: who needs it most is first; who has ended is renewed by a proof of its key, where that is allowed.
    let _stack = site.serve()?;
    let outcome = host.terminal.run(&host.once())?.ended_with(1)?;
    ensure!(outcome.output.contains("2 put in place, 1 failed"), "{outcome:?}");
    ensure!(outcome.said().contains("set after_expiry"), "{outcome:?}");
    // An event is in the chain a moment after its commit.
    let renewed = soon("both are told", || {
        let told: Vec<AuditEvent> = host.administrator.json(&["audit", "list", "--action", "certificate-renewed"])?;
        Ok((told.len() == 2).then_some(told))
    })?;
    let actors: Vec<&str> = renewed.iter().map(|event| event.principal.as_str()).collect();
    let [first, second] = actors[..] else { anyhow::bail!("{actors:?}") };
    ensure!(first.starts_with("expired-certificate:") && second.starts_with("certificate:"), "{actors:?}");
    ensure!(host.state("short", 1)?["state"] == "ok" && host.state("forbidden", 1)?["state"] == "expired");
    // 3. Once it is allowed here too, all is well.
    let allowed = format!("after_expiry = true\n{forbidden}");
    host.configure(&url, &[("long", &long), ("short", &short), ("forbidden", &allowed)])?;
    host.terminal.done(&host.once())?;
    ensure!(host.state("forbidden", 0)?["state"] == "ok");
    Ok(())
}

#[test]
fn an_agent_that_is_killed_at_any_step_makes_one_successor() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let mut host = Host::beside(&stack, &[])?;
    let enrol = host.enrolment("web", "90d")?;
    host.configure(
        &stack.api_url(),
        &[("web", &format!("reload = [\"sh\", \"-c\", \"echo told >> told\"]\n{enrol}"))],
    )?;
    let killed = |host: &mut Host| -> anyhow::Result<()> {
        for step in 1..=12 {
            let after = format!("0.{:03}", step * 12);
            host.terminal.start_through(&["/usr/bin/timeout", "--signal=KILL", &after]);
            // However far it came.
            host.terminal.run(&host.once())?;
        }
        host.terminal.start_through(&[]);
        Ok(())
    };
    killed(&mut host)?;
    host.terminal.done(&host.once())?;
    ensure!(host.certificates()?.len() == 1, "a token has one use, which was not lost");
    host.move_windows()?;
    let first = host.in_place("web")?;
    killed(&mut host)?;
    soon("it is renewed", || {
        host.terminal.done(&host.once())?;
        Ok((host.in_place("web")? != first).then_some(()))
    })?;
    let certificates = host.certificates()?;
    ensure!(certificates.len() == 2, "{certificates:?}");
    ensure!(certificates[0].renews.as_ref() == Some(&certificates[1].id), "{certificates:?}");
    ensure!(host.state("web", 0)?["state"] == "ok");
    Ok(())
}

#[test]
fn a_running_agent_reads_its_file_again_and_ends_when_it_is_told() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let host = Host::beside(&stack, &[])?;
    let enrol = host.enrolment("web", "90d")?;
    host.configure(&stack.api_url(), &[("web", &enrol)])?;
    let start = || {
        let program = &ca_e2e::programs::programs()?.cli;
        let arguments = ["agent", "run", "--config-file", "agent.toml"];
        Process::start(program, &arguments, [("HOME", "/nonexistent")], host.terminal.folder())
    };
    let mut agent = start()?;
    agent.wait_for_line("is in place", ca_e2e::stack::PATIENCE)?;
    // A second one over the same folder is refused.
    host.terminal.refused(3, &host.once(), &["another agent is at work"])?;
    let told = |signal: &str| run("kill", [signal, &agent.id().to_string()], host.terminal.folder());
    let text = host.terminal.read("agent.toml")?;
    host.terminal.write("agent.toml", "url = 1")?;
    told("-HUP")?;
    agent.wait_for_line("the configuration stays as it was", ca_e2e::stack::PATIENCE)?;
    host.terminal.write("agent.toml", &text)?;
    told("-HUP")?;
    agent.wait_for_line("the configuration was read again", ca_e2e::stack::PATIENCE)?;
    ensure!(agent.stop(ca_e2e::stack::PATIENCE)?.success());
    ensure!(host.state("web", 0)?["state"] == "ok");
    Ok(())
}
