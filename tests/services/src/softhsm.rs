//! Tokens of SoftHSM in a temporary folder. No server: its module is loaded by whoever uses it, told by `SOFTHSM2_CONF` where they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::keeper::need;

/// Where Debian's packages `softhsm2` and `opensc` put programs and module.
const UTILITY: &str = "/usr/bin/softhsm2-util";
const TOOL: &str = "/usr/bin/pkcs11-tool";

/// A folder of tokens.
pub struct SoftHsm {
    folder: PathBuf,
    /// Removes the folder; not there where another process does.
    _owned: Option<TempDir>,
}

impl SoftHsm {
    /// The module that speaks for them.
    pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    /// The PIN of every token.
    pub const PIN: &str = "31415926";
    /// The PIN of every token's security officer.
    const OFFICER_PIN: &str = "27182818";
    /// The variable that tells the module where the tokens are.
    pub const VARIABLE: &str = "SOFTHSM2_CONF";

    /// A folder with one token.
    pub fn with_token(label: &str) -> anyhow::Result<Self> {
        need(Path::new(UTILITY), "softhsm2")?;
        need(Path::new(Self::MODULE), "softhsm2")?;
        let folder = tempfile::Builder::new().prefix("ca-softhsm-").tempdir().context("no temporary folder")?;
        let hsm = Self { folder: folder.path().to_path_buf(), _owned: Some(folder) };
        std::fs::create_dir(hsm.tokens()).context("the folder of tokens")?;
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            hsm.tokens().display()
        );
        std::fs::write(hsm.configuration(), configuration).context("its configuration")?;
        std::fs::write(hsm.pin_file(), format!("{}\n", Self::PIN)).context("the file of the PIN")?;
        hsm.add_token(label)?;
        Ok(hsm)
    }

    /// The folder that another process made, and will remove.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder, _owned: None }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One more token.
    pub fn add_token(&self, label: &str) -> anyhow::Result<()> {
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", Self::OFFICER_PIN, "--pin", Self::PIN];
        self.run(UTILITY, &arguments).map(drop)
    }

    /// Makes a key pair in a token as other software does: `kind` as `EC:secp256r1`, or `rsa:2048`.
    pub fn make_key(&self, token: &str, label: &str, id: &str, kind: &str) -> anyhow::Result<()> {
        let arguments = ["--keypairgen", "--key-type", kind, "--label", label, "--id", id, "--usage-sign"];
        self.tool(token, &arguments).map(drop)
    }

    /// Removes an object of a token: `kind` is `privkey`, `pubkey` or `cert`.
    pub fn remove(&self, token: &str, kind: &str, label: &str) -> anyhow::Result<()> {
        self.tool(token, &["--delete-object", "--type", kind, "--label", label]).map(drop)
    }

    /// What `pkcs11-tool` lists of a token.
    pub fn objects(&self, token: &str) -> anyhow::Result<String> {
        self.tool(token, &["--list-objects"])
    }

    /// Gives a token another PIN.
    pub fn change_pin(&self, token: &str, old: &str, new: &str) -> anyhow::Result<()> {
        let arguments = [
            "--module",
            Self::MODULE,
            "--token-label",
            token,
            "--login",
            "--pin",
            old,
            "--change-pin",
            "--new-pin",
            new,
        ];
        self.run(TOOL, &arguments).map(drop)
    }

    /// Runs `pkcs11-tool`, logged in to a token; returns what it printed.
    pub fn tool(&self, token: &str, arguments: &[&str]) -> anyhow::Result<String> {
        need(Path::new(TOOL), "opensc")?;
        let login = ["--module", Self::MODULE, "--token-label", token, "--login", "--pin", Self::PIN];
        self.run(TOOL, &[&login[..], arguments].concat())
    }

    /// Takes all tokens away, as if they were pulled out.
    pub fn unplug(&self) -> anyhow::Result<()> {
        std::fs::rename(self.tokens(), self.away()).context("the tokens")?;
        std::fs::create_dir(self.tokens()).context("an empty folder")
    }

    /// Where the tokens are, and where [`Self::unplug`] puts them.
    pub fn places(&self) -> (PathBuf, PathBuf) {
        (self.tokens(), self.away())
    }

    /// Whether they were taken away.
    pub fn is_unplugged(&self) -> bool {
        self.away().exists()
    }

    /// Puts them back.
    pub fn plug_in(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.tokens()).context("the empty folder")?;
        std::fs::rename(self.away(), self.tokens()).context("the tokens")
    }

    /// The file that `SOFTHSM2_CONF` names.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// A file with the PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.folder.join("away")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(program).args(arguments).env(Self::VARIABLE, self.configuration()).output();
        let output = output.with_context(|| format!("{program} cannot be started"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{program} {arguments:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }
}
