//! What the kernel says of this process: memory, CPU time, the machine. Zeros where there is no `/proc`.

use std::fs;

/// Ticks per second in `/proc/self/stat`: fixed at 100 towards user space on Linux.
const TICKS_PER_S: f64 = 100.0;
/// Page size that `/proc/self/statm` counts in, where it is not told otherwise.
const PAGE_BYTES: u64 = 4096;

/// CPU time of the process, all threads, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTime {
    /// In user space.
    pub user_s: f64,
    /// In the kernel.
    pub system_s: f64,
}

/// CPU time so far, to a hundredth of a second.
pub fn cpu_time() -> CpuTime {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse_stat(&stat).unwrap_or_default()
}

/// The fields behind the name, which is in brackets and may hold anything; user and system time are the 14th and 15th.
fn parse_stat(stat: &str) -> Option<CpuTime> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    let mut next = || Some(ticks.next()?? / TICKS_PER_S);
    Some(CpuTime { user_s: next()?, system_s: next()? })
}

/// The machine's name (in Kubernetes the pod's); `remora` where it has none, or where it looks like an address.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let fits = !name.is_empty() && name.parse::<std::net::IpAddr>().is_err();
    if fits { name.to_owned() } else { "remora".to_owned() }
}

/// Resident memory, bytes.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = kib_of(&status, "VmRSS:") {
        return kib.saturating_mul(1024);
    }
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0).saturating_mul(PAGE_BYTES)
}

/// Memory of the machine, bytes.
pub fn machine_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kib_of(&meminfo, "MemTotal:").unwrap_or(0).saturating_mul(1024)
}

fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Kernel name, release and architecture, such as `Linux 6.1.0 x86_64`.
pub fn os() -> String {
    let read = |name| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let (kind, release) = (read("ostype"), read("osrelease"));
    let kind = if kind.is_empty() { std::env::consts::OS.to_owned() } else { kind };
    format!("{} {} {}", kind.trim(), release.trim(), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 75 0 0 20 0 1 0 100 0 0";
        assert_eq!(parse_stat(stat), Some(CpuTime { user_s: 2.5, system_s: 0.75 }));
        assert_eq!(parse_stat("7 (x) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(kib_of("MemFree: 1 kB\nMemTotal:   24684092 kB\n", "MemTotal:"), Some(24_684_092));
        assert_eq!(kib_of("", "MemTotal:"), None);
    }
}
