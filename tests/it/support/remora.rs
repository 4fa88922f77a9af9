//! The built remora, its ports, its log.

use super::client::Client;
use super::{folder, http, ports, wait};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long anything may take that ends soon on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// A running remora.
#[derive(Debug)]
pub struct Remora {
    pub port: u16,
    pub metrics_port: u16,
    dir: tempfile::TempDir,
    child: Child,
}

/// The program as it was built for this test run, or `$REMORA_PROGRAM`. It does not see this run's own variables,
/// which it would take for settings.
pub fn program() -> Command {
    let built = || env!("CARGO_BIN_EXE_remora").into();
    let mut command = Command::new(std::env::var_os("REMORA_PROGRAM").unwrap_or_else(built));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REMORA_") {
            command.env_remove(name);
        }
    }
    command
}

/// The same under a limit, in the words of the shell's `ulimit`: `-n 100`.
pub fn limited(limit: &str) -> Command {
    let program = program();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit $0 && exec \"$@\"", limit]).arg(program.get_program());
    for (name, _) in program.get_envs() {
        command.env_remove(name);
    }
    command
}

/// A flag with its value, unless the test has its own.
fn unless<'a>(flags: &[&str], flag: [&'a str; 2]) -> Vec<&'a str> {
    if flags.contains(&flag[0]) { Vec::new() } else { flag.to_vec() }
}

impl Remora {
    /// Starts it as a replica of a port of the loopback, with further flags.
    #[track_caller]
    pub fn follow(master: u16, flags: &[&str]) -> Self {
        let replicaof = format!("127.0.0.1 {master}");
        let mut all = vec!["--replicaof", &replicaof];
        all.extend(flags);
        Self::start(&all)
    }

    /// Starts it with these flags, on a free port, and waits until it answers.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Self {
        Self::start_as(program(), flags)
    }

    /// The same by another command, which is given the flags.
    #[track_caller]
    pub fn start_as(mut command: Command, flags: &[&str]) -> Self {
        let dir = folder::temporary();
        let own_port = flags.iter().position(|flag| *flag == "--port").and_then(|at| flags.get(at + 1));
        let port = own_port.map_or_else(ports::free, |port| port.parse().expect("a port"));
        let metrics_port = ports::free();
        let log = File::create(dir.path().join("log")).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let child = command
            .args(["--bind", "127.0.0.1"])
            .args(unless(flags, ["--port", &port.to_string()]))
            .args(unless(flags, ["--metrics-addr", &format!("127.0.0.1:{metrics_port}")]))
            .args(["--enable-debug-command", "yes"])
            .args(unless(flags, ["--loglevel", "debug"]))
            .args(flags)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("starting remora");
        let mut remora = Self { port, metrics_port, dir, child };
        wait::until("remora answers", SOON, || {
            if let Ok(Some(status)) = remora.child.try_wait() {
                panic!("remora ended with {status}:\n{}", remora.log());
            }
            Client::try_connect(port).is_ok_and(|mut client| client.try_call("PING").is_ok())
        });
        remora
    }

    /// A connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Waits until the link is up.
    #[track_caller]
    pub fn wait_linked(&self) {
        let mut client = self.client();
        wait::until("remora's link is up", SOON, || {
            client.info("replication").get("master_link_status").is_some_and(|status| status == "up")
        });
    }

    /// Waits until everything that the master has written is applied, and returns this offset.
    #[track_caller]
    pub fn wait_caught_up(&self, master: &mut Client) -> i64 {
        let mut client = self.client();
        wait::until_some("remora has caught up with its master", Duration::from_secs(120), || {
            let target = master_offset(master);
            let info = client.info("replication");
            let up = info.get("master_link_status").is_some_and(|status| status == "up");
            let offset: i64 = info.get("slave_repl_offset")?.parse().ok()?;
            (up && offset >= target).then_some(offset)
        })
    }

    /// A field of INFO replication.
    #[track_caller]
    pub fn replication(&self, field: &str) -> String {
        let info = self.client().info("replication");
        info.get(field).unwrap_or_else(|| panic!("INFO replication without {field}: {info:?}")).clone()
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The folder it runs in.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    /// Waits until the log has a line with all these words, in any case.
    #[track_caller]
    pub fn wait_logged(&self, words: &[&str]) {
        let said = |line: &str| words.iter().all(|word| line.contains(&word.to_lowercase()));
        wait::until(&format!("the log has a line with {words:?}"), SOON, || {
            self.log().to_lowercase().lines().any(said)
        });
    }

    /// A sample of `/metrics`; several series of this name add up.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let (_, body) = http::get(self.metrics_port, "/metrics");
        http::metric(&body, name).unwrap_or_else(|| panic!("no metric {name} in\n{body}"))
    }

    /// The same, 0 as long as nothing was counted.
    pub fn metric_or_zero(&self, name: &str) -> f64 {
        let answer = http::try_get(self.metrics_port, "/metrics");
        answer.ok().and_then(|(_, body)| http::metric(&body, name)).unwrap_or(0.0)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended?
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("asking for the child")
    }

    /// Sends a signal (`TERM`, `INT`).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("running kill").success(), "kill -{name}");
    }
}

impl Drop for Remora {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(40);
            let faults =
                log.lines().take(skipped).filter(|line| line.contains("ERROR") || line.contains("panick"));
            let shown: Vec<&str> = faults.chain(log.lines().skip(skipped)).collect();
            eprintln!("--- log of remora at port {}, its errors and its end\n{}", self.port, shown.join("\n"));
        }
    }
}

/// The offset of a master.
#[track_caller]
pub fn master_offset(master: &mut Client) -> i64 {
    master.info("replication")["master_repl_offset"].parse().expect("an offset")
}
