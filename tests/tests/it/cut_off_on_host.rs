//! What is done with authorities on the host, killed between any two steps that last: run again it comes to its end, and there is one
//! of everything. A command that fails says why, and one that was killed says nothing, so none is taken for the other.

use anyhow::ensure;
use ca_api::authority::{Authority, AuthorityStatus};
use ca_e2e::at_sync::{AtSync, TOLD};
use ca_e2e::cli::Terminal;
use ca_e2e::stack::{EMBEDDED, Site};
use ca_e2e::tools::run;

use crate::external_root::{Others, done, requested_with};

/// A site whose commands are killed.
struct Bench {
    site: Site,
    at_sync: AtSync,
}

impl Bench {
    fn of(site: Site) -> anyhow::Result<Self> {
        let at_sync = AtSync::in_folder(site.work_folder())?;
        Ok(Self { site, at_sync })
    }

    /// Kills a command at one moment after the other, each time over the same folder, and has it run again. `check` looks at what came
    /// of that. What is left is what the command makes that nobody kills.
    fn kill_everywhere(
        &mut self,
        command: &[&str],
        check: impl Fn(&Site) -> anyhow::Result<()>,
    ) -> anyhow::Result<u32> {
        let (folder, kept) = (self.site.own_data_folder(), self.site.work_folder().join("kept"));
        let (folder, kept) = (folder.display().to_string(), kept.display().to_string());
        self.copy(&folder, &kept)?;
        for number in 1.. {
            self.copy(&kept, &folder)?;
            for (name, value) in self.at_sync.kill(number) {
                self.site.set(name, &value);
            }
            let (succeeded, said) = self.site.run(command)?;
            for name in AtSync::NAMES {
                self.site.unset(name);
            }
            if succeeded {
                ensure!(!said.contains(TOLD) && number > 1, "{command:?} was not killed: {said}");
                check(&self.site)?;
                return Ok(number - 1);
            }
            ensure!(said.contains(TOLD), "{command:?} failed by itself when it was to be killed at {number}: {said}");
            let again = done(&self.site, command).and_then(|_| check(&self.site));
            again.map_err(|error| error.context(format!("after a kill at {number}")))?;
        }
        unreachable!("there are more numbers")
    }

    fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        for command in [&["rm", "-rf", to][..], &["cp", "-a", from, to]] {
            let said = run(command[0], &command[1..], self.site.work_folder())?;
            ensure!(said.succeeded, "{command:?}: {}", said.all());
        }
        Ok(())
    }
}

/// These are all authorities, each is active, and the audit log is whole.
fn authorities_are(site: &Site, expected: &[&str]) -> anyhow::Result<Vec<Authority>> {
    let terminal = Terminal::local_at(site)?;
    let listed: Vec<Authority> = terminal.json(&["authority", "list"])?;
    let mut ids: Vec<&str> = listed.iter().map(|authority| authority.id.as_str()).collect();
    ids.sort_unstable();
    ensure!(ids == expected, "{ids:?}");
    ensure!(listed.iter().all(|authority| authority.status == AuthorityStatus::Active), "{listed:?}");
    terminal.done(&["audit", "verify"])?;
    Ok(listed)
}

/// The same, and the next generation of `tls` is announced.
fn is_announced(site: &Site, expected: &[&str]) -> anyhow::Result<()> {
    let authorities = authorities_are(site, expected)?;
    let is_next = |authority: &&Authority| authority.id == "tls-2";
    ensure!(authorities.iter().find(is_next).is_some_and(|next| next.issues_from.is_some()), "{authorities:?}");
    Ok(())
}

#[test]
fn a_rollover_that_is_killed_at_any_step_ends_with_one_generation_when_it_is_run_again() -> anyhow::Result<()> {
    let mut bench = Bench::of(Site::initialised(&[EMBEDDED])?)?;
    let command = ["authority", "rollover", "tls", "--issue-after", "1h"];
    let steps = bench.kill_everywhere(&command, |site| is_announced(site, &["document", "root", "tls", "tls-2"]))?;
    println!("a rollover was killed at {steps} moments");
    Ok(())
}

#[test]
fn imports_that_are_killed_at_any_step_end_with_one_of_everything_when_they_are_run_again() -> anyhow::Result<()> {
    let (site, old) = requested_with(&[EMBEDDED])?;
    let new = Others::named(&site, "new", "New root of others")?;
    let mut bench = Bench::of(site)?;
    let [tls, document, root] = ["tls.pem", "document.pem", "root.pem"].map(|file| old.path(file));
    let fingerprint = old.fingerprint()?;
    let import = ["init", "--external-root", "--import", &tls, "--import", &document, "--import", &root];
    let import = [&import[..], &["--root-fingerprint", &fingerprint]].concat();
    let first = ["document", "root", "tls"];
    let steps = bench.kill_everywhere(&import, |site| authorities_are(site, &first).map(drop))?;
    println!("an import of a hierarchy was killed at {steps} moments");

    let (root, fingerprint) = (new.path("root.pem"), new.fingerprint()?);
    let import = ["authority", "import-root", &root, "--root-fingerprint", &fingerprint];
    let both = ["document", "root", "root-2", "tls"];
    let steps = bench.kill_everywhere(&import, |site| authorities_are(site, &both).map(drop))?;
    println!("an import of a root was killed at {steps} moments");

    let csr = new.path("tls-2.csr");
    let rollover = ["authority", "rollover", "tls", "--below", "root-2"];
    done(&bench.site, &[&rollover[..], &["--csr-out", &csr]].concat())?;
    new.sign(csr.as_ref(), "of_authority", "tls-2.pem", "300")?;
    let next = new.path("tls-2.pem");
    let import = [&rollover[..], &["--issue-after", "1h", "--import", &next]].concat();
    let all = ["document", "root", "root-2", "tls", "tls-2"];
    let steps = bench.kill_everywhere(&import, |site| is_announced(site, &all))?;
    println!("an import of a generation was killed at {steps} moments");
    Ok(())
}
