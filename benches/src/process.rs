//! Other programs: started, looked at through `/proc`, ended with their owner.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context, ensure};

/// A running program that never outlives its owner.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("{program} cannot be started"))?))
    }

    /// The child itself: its streams, and waiting for its end.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of processor time that the living threads of a process have spent. Threads that have ended are not counted.
pub(crate) fn processor_seconds(id: u32) -> anyhow::Result<f64> {
    let folder = format!("/proc/{id}/task");
    let tasks = fs::read_dir(&folder).with_context(|| format!("{folder} cannot be read; this needs Linux"))?;
    let mut nanoseconds = 0;
    for task in tasks {
        let file = task.context("a thread cannot be listed")?.path().join("schedstat");
        // A thread that ends meanwhile takes its file along.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        nanoseconds +=
            first_number(&text).with_context(|| format!("{} does not begin with a number", file.display()))?;
    }
    ensure!(nanoseconds > 0, "{folder} tells no processor time; the kernel lacks scheduler statistics");
    Ok(nanoseconds as f64 / 1e9)
}

/// Octets of memory that a process has at the moment.
pub(crate) fn resident_octets(id: u32) -> anyhow::Result<f64> {
    memory(&format!("/proc/{id}/status"), "VmRSS:")
}

/// The most octets of memory that a process had since [`forget_peak`], or ever.
pub(crate) fn peak_octets(id: u32) -> anyhow::Result<f64> {
    memory(&format!("/proc/{id}/status"), "VmHWM:")
}

/// Lets the peak of a process's memory begin anew, from what it has now (proc(5), `clear_refs`).
pub(crate) fn forget_peak(id: u32) -> anyhow::Result<()> {
    let file = format!("/proc/{id}/clear_refs");
    fs::write(&file, "5").with_context(|| format!("{file} cannot be written"))
}

/// The most octets of memory that this process ever had.
pub(crate) fn own_peak_octets() -> anyhow::Result<f64> {
    memory("/proc/self/status", "VmHWM:")
}

/// The root of the workspace: programs are built there, and `target` below it lies on a real disk.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// A folder for what a section writes, on the disk that the workspace lies on: `/tmp` may be memory.
pub(crate) fn work_folder() -> anyhow::Result<tempfile::TempDir> {
    let target = workspace().join("target");
    fs::create_dir_all(&target).with_context(|| format!("{} cannot be made", target.display()))?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&target);
    folder.with_context(|| format!("no folder can be made in {}", target.display()))
}

fn memory(file: &str, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix(field)).and_then(first_number);
    Ok(kibibytes.with_context(|| format!("{file} has no {field}"))? as f64 * 1024.0)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_processor_and_memory() {
        let id = std::process::id();
        assert!(processor_seconds(id).expect("Linux") > 0.0);
        let (resident, peak) = (resident_octets(id).expect("Linux"), own_peak_octets().expect("Linux"));
        assert!(resident > 0.0 && peak > 0.0);
        forget_peak(id).expect("Linux");
        assert!(peak_octets(id).expect("Linux") > 0.0);
    }

    #[test]
    fn a_process_that_is_not_there_is_told() {
        assert!(processor_seconds(u32::MAX).is_err());
        assert!(resident_octets(u32::MAX).is_err());
    }
}
