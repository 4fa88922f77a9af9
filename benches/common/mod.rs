//! What the benches share: the servers side by side, their CPU time and memory, one table of ratios.
//!
//! All servers are replicas of the same scripted master, are on the same machine and are measured in the same run, in turns; a bench
//! prints ratios to remora, since absolute figures of a shared machine say little. With `--smoke` everything is
//! small and the figures mean nothing: it shows that the bench works.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to whoever started it")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each bench uses a part, and none is a library")]

#[path = "../../tests/it/support/mod.rs"]
mod support;

pub mod drive;
pub mod watch;

pub use support::client::{Client, encode_into};
pub use support::follower::Follower;
pub use support::real::Real;
pub use support::remora::Remora;
pub use support::script::{Framing, Link, Master, REPLID};
pub use support::wait;

use std::fs;
use std::process::Command;
use std::time::Duration;

/// How big a run is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub smoke: bool,
    pub keys: u64,
    pub rounds: usize,
}

impl Size {
    /// From the arguments: `--smoke` for a quick run, `--keys N` for another number of keys.
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().collect();
        let smoke = args.iter().any(|arg| arg == "--smoke");
        let given = args.iter().position(|arg| arg == "--keys").and_then(|at| args.get(at + 1));
        let keys = given.map(|text| text.parse().expect("--keys takes a number"));
        let usual = if smoke { 5_000 } else { 5_000_000 };
        Self { smoke, keys: keys.unwrap_or(usual), rounds: if smoke { 1 } else { 5 } }
    }
}

/// A server under measurement.
#[derive(Debug)]
pub struct Contender {
    pub name: String,
    pub port: u16,
    pub pid: u32,
    _process: Process,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held so that the server stops at the end")]
enum Process {
    Real(Real),
    Remora(Remora),
}

/// The real servers to compare with, as far as they are here: the newest Redis, and Valkey.
pub fn real_names() -> Vec<&'static str> {
    let here = |name: &&&str| support::folder::peers().join(format!("{name}-server")).exists();
    let redis = ["redis-8.0", "redis-7.0"].iter().find(here);
    let valkey = ["valkey-9.1", "valkey-8.1"].iter().find(here);
    let found: Vec<&str> = redis.into_iter().chain(valkey).copied().collect();
    if found.is_empty() {
        eprintln!("no real server is here: run tests/peers");
    }
    found
}

impl Contender {
    /// A real server that follows the port. It loads from the socket, so that no disk is measured.
    pub fn real(name: &str, master: u16) -> Self {
        let followed = format!("--replicaof 127.0.0.1 {master}");
        let settings = [followed.as_str(), "--repl-diskless-load swapdb", "--repl-timeout 600"];
        let server = Real::start(name, &settings).expect("the server is here");
        Self { name: name.to_string(), port: server.port, pid: server.pid(), _process: Process::Real(server) }
    }

    /// remora that follows the port.
    pub fn remora(master: u16, flags: &[&str]) -> Self {
        let mut all = vec!["--loglevel", "warning", "--repl-timeout", "600"];
        all.extend(flags);
        let remora = Remora::follow(master, &all);
        Self {
            name: "remora".to_string(),
            port: remora.port,
            pid: remora.pid(),
            _process: Process::Remora(remora),
        }
    }

    /// All contenders, each with a scripted master of its own that has given it this snapshot.
    pub fn all_loaded(snapshot: &[u8], remora_flags: &[&str]) -> Vec<(Self, Link)> {
        let all = Self::all_with_masters(snapshot, remora_flags);
        all.into_iter().map(|(contender, _, link)| (contender, link)).collect()
    }

    /// The same, and the masters go on listening.
    pub fn all_with_masters(snapshot: &[u8], remora_flags: &[&str]) -> Vec<(Self, Master, Link)> {
        let mut all = Vec::new();
        for name in real_names().into_iter().chain(["remora"]) {
            let master = Master::listen();
            let contender = if name == "remora" {
                Self::remora(master.port, remora_flags)
            } else {
                Self::real(name, master.port)
            };
            let link = master.serve(snapshot, 1);
            contender.wait_loaded();
            all.push((contender, master, link));
        }
        all
    }

    /// Waits until the link is up behind the load.
    pub fn wait_loaded(&self) {
        let mut client = Client::connect(self.port);
        wait::until(&format!("{} has loaded", self.name), Duration::from_secs(300), || {
            client.info("replication").get("master_link_status").is_some_and(|status| status == "up")
        });
    }

    /// Waits until this offset is applied.
    pub fn wait_applied(&self, offset: u64) {
        let mut client = Client::connect(self.port);
        wait::until(&format!("{} has applied everything", self.name), Duration::from_secs(300), || {
            let info = client.info("replication");
            info.get("slave_repl_offset").is_some_and(|own| own.parse().is_ok_and(|own: u64| own >= offset))
        });
    }

    /// User and system time so far, of all threads.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("the process");
        let behind_name = stat.rsplit_once(')').expect("a name").1;
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let ticks: u64 = [fields[11], fields[12]].iter().map(|text| text.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10) // a tick is 10 ms on Linux for every program (USER_HZ is 100)
    }

    /// Resident bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// Keeps it on one core, so that it and the load do not take turns on it.
    pub fn pin(&self, core: &str) {
        pin(self.pid, core);
    }
}

/// Keeps a process and its threads on these cores, where `taskset` is installed and there is more than one core.
pub fn pin(pid: u32, cores: &str) {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    if several {
        let _ = Command::new("taskset").args(["-acp", cores, &pid.to_string()]).output();
    }
}

/// A snapshot of `keys` strings: keys of 16 bytes, values of 100.
pub fn snapshot(keys: u64) -> Vec<u8> {
    let mut out = b"REDIS0009\xfe\x00\xfb".to_vec();
    let long = |out: &mut Vec<u8>, n: u64| {
        out.push(0x81);
        out.extend_from_slice(&n.to_be_bytes());
    };
    long(&mut out, keys);
    out.push(0);
    for n in 0..keys {
        out.extend_from_slice(&[0, 16]);
        out.extend_from_slice(&key(n));
        out.extend_from_slice(&[0x40, 100]);
        out.extend_from_slice(&value(n));
    }
    out.push(0xff);
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Redis, &out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// The key of this number, 16 bytes.
pub fn key(n: u64) -> [u8; 16] {
    *format!("key:{n:012}").as_bytes().first_chunk().expect("16 bytes")
}

/// The value of this number, 100 bytes.
pub fn value(n: u64) -> [u8; 100] {
    let mut value = [b'v'; 100];
    value[..20].copy_from_slice(format!("{n:020}").as_bytes());
    value
}

/// Keeps the servers on the first core and the load on the others.
pub fn share_cores<'a>(contenders: impl Iterator<Item = &'a Contender>) {
    contenders.for_each(|contender| contender.pin("0"));
    let last = std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1);
    pin(std::process::id(), &format!("1-{last}"));
}

/// The machine, for whoever compares figures.
pub fn print_machine(size: Size) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("?", |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mode = if cfg!(debug_assertions) { ", a debug build: figures mean nothing" } else { "" };
    let smoke = if size.smoke { ", smoke run" } else { "" };
    println!("{model}, {cores} cores, Linux {}; {} keys{smoke}{mode}", kernel.trim(), size.keys);
}

/// One line a server: the figure, and remora's as a ratio to it.
pub fn print_ratios(what: &str, unit: &str, figures: &[(String, f64)]) {
    println!("\n{what}");
    let ours = figures.iter().find(|(name, _)| name == "remora").map_or(f64::NAN, |(_, figure)| *figure);
    for (name, figure) in figures {
        if name == "remora" {
            println!("  {name:<12} {figure:>12.3} {unit}");
        } else {
            println!("  {name:<12} {figure:>12.3} {unit}   remora is at {:.2}x of it", ours / figure);
        }
    }
}

/// The middle of some measurements.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
