//! Real servers by name, each on its own port and folder of the loopback, stopped by its process id.

use super::client::Client;
use super::{folder, ports, wait};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The five masters.
pub const NAMES: [&str; 5] = ["redis-6.0", "redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"];

/// Makes a test for each of the five masters out of `fn name(server: &str)`.
#[allow(unused_macros, reason = "the benches do not use it")]
macro_rules! for_each_master {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn redis_6_0() {
                super::$test("redis-6.0");
            }
            #[test]
            fn redis_7_0() {
                super::$test("redis-7.0");
            }
            #[test]
            fn redis_8_0() {
                super::$test("redis-8.0");
            }
            #[test]
            fn valkey_8_1() {
                super::$test("valkey-8.1");
            }
            #[test]
            fn valkey_9_1() {
                super::$test("valkey-9.1");
            }
        }
    )+};
}
#[allow(unused_imports, reason = "the benches do not use it")]
pub(crate) use for_each_master;

/// A running server.
#[derive(Debug)]
pub struct Real {
    pub name: String,
    pub port: u16,
    args: Vec<String>,
    dir: tempfile::TempDir,
    child: Child,
}

impl Real {
    /// Starts a server with further settings (`"--maxmemory 10mb"`), or `None` if this peer is not here.
    pub fn start(name: &str, settings: &[&str]) -> Option<Self> {
        Self::start_at(name, ports::free(), settings)
    }

    /// The same on a given port.
    pub fn start_at(name: &str, port: u16, settings: &[&str]) -> Option<Self> {
        folder::peer(&format!("{name}-server"))?;
        Some(Self::start_in(name, port, folder::temporary(), settings))
    }

    fn start_in(name: &str, port: u16, dir: tempfile::TempDir, settings: &[&str]) -> Self {
        let mut args: Vec<String> = Vec::new();
        for setting in settings {
            args.extend(setting.split(' ').map(str::to_string));
        }
        let child = spawn(name, port, dir.path(), &args);
        let mut server = Self { name: name.to_string(), port, args, dir, child };
        server.wait_answering();
        server
    }

    /// Starts a server that loads a snapshot of `tests/data` first.
    pub fn start_with(name: &str, snapshot: &str, settings: &[&str]) -> Option<Self> {
        folder::peer(&format!("{name}-server"))?;
        let dir = folder::temporary();
        std::fs::copy(folder::data(snapshot), dir.path().join("dump.rdb")).expect("copying the snapshot");
        Some(Self::start_in(name, ports::free(), dir, settings))
    }

    /// Loads this snapshot in place of its data, as at a start: what it cannot read ends it.
    #[allow(dead_code, reason = "the benches do not use it")]
    #[track_caller]
    pub fn reload(&self, snapshot: &[u8]) {
        std::fs::write(self.dir.path().join("dump.rdb"), snapshot).expect("writing the snapshot");
        self.client().must("DEBUG RELOAD NOSAVE");
    }

    /// Kills it and starts it again on the same port, empty.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.name, self.port, self.dir.path(), &self.args);
        self.wait_answering();
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal (`STOP`, `CONT`).
    #[allow(dead_code, reason = "the benches do not use it")]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("running kill").success(), "kill -{name}");
    }

    /// Has it ended?
    #[allow(dead_code, reason = "the benches do not use it")]
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("asking for the child")
    }

    /// Redis before 7.0?
    pub fn is_before_redis_7(&self) -> bool {
        self.name == "redis-6.0"
    }

    /// Does this server know hashes with field expiry?
    pub fn has_field_expiry(&self) -> bool {
        matches!(self.name.as_str(), "redis-8.0" | "valkey-9.1")
    }

    fn wait_answering(&mut self) {
        let log = self.dir.path().join("log");
        wait::until(&format!("{} answers", self.name), Duration::from_secs(30), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}: {}", self.name, std::fs::read_to_string(&log).unwrap_or_default());
            }
            let said = Client::try_connect(self.port).and_then(|mut client| client.try_call("PING"));
            said.is_ok_and(|said| !said.text_starts("LOADING"))
        });
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!("--- log of {} at port {}, its end\n{}", self.name, self.port, tail.join("\n"));
        }
    }
}

fn spawn(name: &str, port: u16, dir: &std::path::Path, args: &[String]) -> Child {
    let mut command = Command::new(folder::peers().join(format!("{name}-server")));
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--logfile", "log"]);
    command.arg("--dir").arg(dir).args(["--repl-diskless-sync-delay", "0"]);
    if name != "redis-6.0" {
        command.args(["--enable-debug-command", "yes"]);
    }
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("starting {name}: {error}"))
}
