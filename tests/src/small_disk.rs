//! A disk that fills up: the data folder of a site on a small tmpfs, in a mount namespace of its own that goes when the test
//! ends, whatever became of it. Needs no privilege where users may make namespaces.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::process::Process;
use crate::stack::{PATIENCE, Site};

/// The disk, for as long as this lives.
pub struct SmallDisk {
    seen_at: PathBuf,
    _holder: Process,
}

impl SmallDisk {
    /// Puts a disk of this many MiB in the place of the site's data folder, for every command that is started from now on.
    pub fn under(site: &mut Site, mebibytes: u32) -> anyhow::Result<Self> {
        let folder = site.own_data_folder();
        let disk = Self::at(site, &folder, mebibytes)?;
        site.see_data_folder_at(disk.seen_at.clone());
        Ok(disk)
    }

    /// The same in the place of another folder, which is there.
    pub fn at(site: &mut Site, folder: &Path, mebibytes: u32) -> anyhow::Result<Self> {
        let text = folder.to_str().context("a path that is not UTF-8")?;
        let is_root = rustix::process::geteuid().is_root();
        let new_namespace: &[&str] = if is_root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
        let script = format!(
            "mount -t tmpfs -o size={mebibytes}m,mode=0700 tmpfs '{text}' && echo mounted && exec sleep infinity"
        );
        let arguments = [new_namespace, &["sh", "-c", script.as_str()]].concat();
        let path = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];
        let holder = Process::start(Path::new("unshare"), &arguments, path, Path::new("/"))?;
        holder.wait_for_line("mounted", PATIENCE).context(
            "no tmpfs can be mounted in a namespace of our own: run the tests as root, or where users may make namespaces",
        )?;
        let id = holder.id().to_string();
        let enter: &[&str] = if is_root { &["--mount"] } else { &["--user", "--preserve-credentials", "--mount"] };
        site.start_through(&[&["nsenter", "--target", id.as_str()], enter, &["--"]].concat());
        Ok(Self { seen_at: PathBuf::from(format!("/proc/{id}/root{text}")), _holder: holder })
    }

    /// Where its folder is seen from here.
    pub fn seen_at(&self) -> &Path {
        &self.seen_at
    }

    /// Leaves not one octet of room.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.filler()).context("the disk cannot be filled")?;
        for block in [&[0; 65_536][..], &[0; 4_096], &[0]] {
            while file.write_all(block).is_ok() {}
        }
        ensure!(file.write(&[0]).is_err(), "the disk is not full");
        Ok(())
    }

    /// Leaves so many octets of room.
    pub fn fill_but(&self, octets: u64) -> anyhow::Result<()> {
        self.fill()?;
        let file = File::options().write(true).open(self.filler())?;
        let length = file.metadata()?.len().checked_sub(octets).context("the disk had less room before")?;
        Ok(file.set_len(length)?)
    }

    /// Makes room again.
    pub fn make_room(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.filler()).context("the filler cannot be removed")
    }

    fn filler(&self) -> PathBuf {
        self.seen_at.join("filler")
    }
}
