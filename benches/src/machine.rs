//! What the figures were measured on: without it they mean nothing.

use std::fmt;
use std::fs;
use std::process::Command;

/// The machine and the build.
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    compiler: String,
    niceness: i32,
}

impl Machine {
    /// As it is now; what cannot be learned is told as such.
    pub(crate) fn here() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model_name(&text));
        let kernel = rustix::system::uname();
        Self {
            processor: processor.unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
            compiler: compiler(),
            niceness: rustix::process::getpriority_process(None).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profile = if cfg!(debug_assertions) { "DEBUG BUILD: the figures mean nothing" } else { "release build" };
        writeln!(f, "{} × {}, {}, {}", self.cores, self.processor, std::env::consts::ARCH, self.kernel)?;
        write!(f, "{}, {profile}, niceness {}", self.compiler, self.niceness)
    }
}

/// How many tasks wanted a processor, on average over the last one, five and fifteen minutes.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split(' ').take(3).collect();
    if averages.len() == 3 { averages.join(" ") } else { "unknown".to_owned() }
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn compiler() -> String {
    // Cargo's neighbour, so that it is the one that built this.
    let rustc = std::path::Path::new(env!("CARGO")).with_file_name("rustc");
    let output = Command::new(rustc).arg("--version").output();
    let version =
        output.ok().filter(|output| output.status.success()).and_then(|output| String::from_utf8(output.stdout).ok());
    version.map_or_else(|| "unknown rustc".to_owned(), |version| version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_processor_s_name() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t: aes\n";
        assert_eq!(model_name(text).as_deref(), Some("AMD EPYC 9654"));
        assert_eq!(model_name("processor\t: 0\n"), None);
    }
}
