//! What figures were measured on: without it they mean nothing.

use std::fs;

/// Processor, cores, kernel, build and load average, in one line. Linux; what cannot be learned is told as such.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let average = read("/proc/loadavg");
    let average: Vec<&str> = average.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = rustix::system::uname();
    format!(
        "{cores} × {}, {}, {} {}, {} build, load average {}",
        model.map_or("unknown processor", |(_, name)| name),
        std::env::consts::ARCH,
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        if cfg!(debug_assertions) { "debug" } else { "release" },
        if average.len() == 3 { average.join(" ") } else { "unknown".to_owned() },
    )
}
