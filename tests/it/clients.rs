//! Real clients, unmodified: redis-cli, valkey-cli, redis-benchmark, redis-py, node-redis, ioredis, valkey-glide, redis-rs,
//! fred, redis_exporter.

mod fred;

use crate::support::folder::{self, peer};
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::{http, ports, wait};
use redis::Commands;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A master with a little of everything, and remora behind it.
fn pair() -> Option<(Real, Remora)> {
    let master = Real::start_with("redis-8.0", "redis-8.0.rdb", &[])?;
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    Some((master, remora))
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("running a client");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn redis_cli() {
    let Some((_master, remora)) = pair() else { return };
    for name in ["redis-8.0", "valkey-9.1"] {
        let Some(program) = peer(&format!("{name}-cli")) else { return };
        let cli = |args: &[&str]| output(Command::new(&program).args(["-p", &remora.port.to_string()]).args(args));
        assert_eq!(cli(&["PING"]).trim(), "PONG");
        assert_eq!(cli(&["GET", "s:text"]).trim(), "hello world");
        assert_eq!(cli(&["-3", "GET", "s:text"]).trim(), "hello world");
        assert_eq!(cli(&["-n", "15", "GET", "last"]).trim(), "db15");
        assert!(cli(&["SET", "k", "v"]).contains("READONLY"));
        assert!(cli(&["INFO"]).contains("role:slave"));
        assert!(cli(&["--scan", "--pattern", "z:*"]).contains("z:small"));
        assert!(cli(&["--bigkeys"]).contains("Biggest"));
        assert_eq!(cli(&["--json", "-3", "HGET", "h:small", "f1"]).trim(), "\"v1\"");
        assert!(cli(&["DEBUG", "DIGEST"]).trim().len() == 40);
    }
}

#[test]
fn redis_benchmark() {
    let Some((_master, remora)) = pair() else { return };
    for name in ["redis-8.0", "valkey-9.1"] {
        let Some(program) = peer(&format!("{name}-benchmark")) else { return };
        let port = remora.port.to_string();
        let said = output(Command::new(program).args(["-p", &port, "-q", "-n", "2000", "-t", "get", "-P", "16"]));
        assert!(said.contains("GET"), "{said}");
    }
}

#[test]
fn redis_py() {
    let Some((_master, remora)) = pair() else { return };
    let Some(packages) = peer("python") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/redis_py.py");
    let said =
        output(Command::new("python3").env("PYTHONPATH", packages).arg(script).arg(remora.port.to_string()));
    assert!(said.contains("RESP2 ok") && said.contains("RESP3 ok"), "{said}");
}

/// Runs a program for node; it says `ok` behind each of these, and anything else it meets ends it with an error.
fn node(script: &str, done: &[&str]) {
    let Some((master, remora)) = pair() else { return };
    let Some(packages) = peer("node") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut command = Command::new("node");
    command.env("PACKAGES", packages).arg(script).args([remora.port.to_string(), master.port.to_string()]);
    let said = output(&mut command);
    for part in done {
        assert!(said.contains(&format!("{part} ok")), "{said}");
    }
}

#[test]
fn node_redis() {
    node("node_redis.mjs", &["RESP2", "RESP3", "readonly", "cache", "messages"]);
}

#[test]
fn ioredis() {
    node("ioredis.mjs", &["reads", "messages"]);
}

#[test]
fn valkey_glide() {
    node("valkey_glide.mjs", &["RESP2", "RESP3"]);
}

#[test]
fn redis_rs() {
    let Some((_master, remora)) = pair() else { return };
    for query in ["", "?protocol=resp3"] {
        let url = format!("redis://127.0.0.1:{}/{query}", remora.port);
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let text: String = connection.get("s:text").unwrap();
        assert_eq!(text, "hello world");
        let hash: std::collections::HashMap<String, String> = connection.hgetall("h:small").unwrap();
        assert_eq!(hash["f1"], "v1");
        let scores: Vec<(String, f64)> = connection.zrange_withscores("z:many", 0, 2).unwrap();
        assert_eq!(scores.len(), 3);
        let keys: Vec<String> = connection.scan_match("l:*").unwrap().collect::<Result<_, _>>().unwrap();
        assert!(keys.contains(&"l:small".to_string()));
        let (a, b): (i64, Option<String>) =
            redis::pipe().cmd("STRLEN").arg("s:text").cmd("GET").arg("none").query(&mut connection).unwrap();
        assert_eq!((a, b), (11, None));
        let refused: redis::RedisResult<()> = connection.set("k", "v");
        assert_eq!(refused.unwrap_err().code(), Some("READONLY"));
    }
}

/// What people type, and the modes in which a cli asks by itself.
#[test]
fn a_cli_looks_around() {
    let Some((_master, remora)) = pair() else { return };
    for name in ["redis-8.0", "valkey-9.1"] {
        let Some(program) = peer(&format!("{name}-cli")) else { return };
        let cli = || {
            let mut command = Command::new(&program);
            command.args(["-p", &remora.port.to_string()]);
            command
        };
        let typed =
            typed(cli().arg("-3"), "GET s:text\nSELECT 15\nGET last\nSET a b\nMULTI\nGET last\nEXEC\nNOSUCH\n");
        for expected in ["hello world", "db15", "READONLY", "QUEUED", "ERR unknown command"] {
            assert!(typed.contains(expected), "{name}: no {expected} in {typed}");
        }
        assert!(output(cli().args(["--bigkeys", "-i", "0"])).contains("Biggest"), "{name} --bigkeys");
        assert!(output(cli().arg("--memkeys")).contains("keys"), "{name} --memkeys");
        let scanned = output(cli().args(["--scan", "--pattern", "set:*"]));
        assert!(scanned.lines().any(|line| line == "set:small"), "{name} --scan: {scanned}");
        let latency = output(cli().args(["--latency", "--raw", "-i", "0.1"]));
        assert_eq!(latency.split_whitespace().count(), 4, "{name} --latency: {latency}");
        let log = tempfile::NamedTempFile::new().expect("a file");
        let stat = cli()
            .args(["--stat", "-i", "0.01"])
            .stdin(Stdio::null())
            .stdout(log.reopen().expect("a file"))
            .spawn();
        let _stat = Running(stat.expect("starting a cli"));
        let shown = || std::fs::read_to_string(log.path()).unwrap_or_default();
        wait::until("--stat shows lines", SOON, || shown().lines().count() >= 10);
    }
}

/// What a program says to these lines of input.
fn typed(command: &mut Command, lines: &str) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("starting a client");
    std::io::Write::write_all(&mut child.stdin.take().expect("its input"), lines.as_bytes()).expect("typing");
    let output = child.wait_with_output().expect("its output");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn redis_exporter() {
    let Some((_master, remora)) = pair() else { return };
    let Some(program) = peer("redis-exporter") else { return };
    let port = ports::free();
    let mut command = Command::new(program);
    command.arg(format!("--redis.addr=redis://127.0.0.1:{}", remora.port));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(Stdio::null()).stderr(Stdio::null());
    let _exporter = Running(command.spawn().expect("starting redis_exporter"));
    let body = wait::until_some("the exporter answers", SOON, || http::try_get(port, "/metrics").ok()).1;
    for (name, value) in [
        ("redis_up", 1.0),
        ("redis_exporter_last_scrape_error", 0.0),
        ("redis_master_link_up", 1.0),
        ("redis_slave_info", 1.0),
        ("redis_instance_info", 1.0),
        ("redis_db_keys{db=\"db15\"}", 1.0),
    ] {
        assert_eq!(http::metric(&body, name), Some(value), "{name} in\n{body}");
    }
    for name in
        ["redis_connected_clients", "redis_memory_used_bytes", "redis_commands_total", "redis_slave_repl_offset"]
    {
        assert!(http::metric(&body, name).is_some(), "no {name} in\n{body}");
    }
}

#[test]
fn the_demo_shows_the_main_job() {
    let Some(server) = peer("redis-8.0-server") else { return };
    // The demo looks for a redis-server on PATH.
    let dir = folder::temporary();
    std::os::unix::fs::symlink(server, dir.path().join("redis-server")).expect("a link");
    let log = std::fs::File::create(dir.path().join("said")).expect("a file");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = crate::support::remora::program();
    command.arg("demo").env("PATH", path).current_dir(dir.path()).stdin(Stdio::null());
    let child = command.stdout(log.try_clone().expect("a file")).stderr(log).spawn().expect("starting the demo");
    let demo = Running(child);
    let said = || std::fs::read_to_string(dir.path().join("said")).unwrap_or_default();
    let port = wait::until_some("the demo says what to type", SOON, || {
        let said = said();
        let (_, behind) = said.split_once("redis-cli -p ")?;
        let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
        (digits.len() < behind.len()).then(|| digits.parse::<u16>().ok()).flatten()
    });
    wait::until("the demo's remora has data", SOON, || {
        let mut client = crate::support::client::Client::connect(port);
        let size = client.call("DBSIZE");
        !size.is_error() && size.int() > 0
    });
    // On SIGTERM it takes the server that it started with it.
    let status = Command::new("kill").args(["-TERM", &demo.0.id().to_string()]).status().expect("kill");
    assert!(status.success());
    wait::until("remora is gone", SOON, || crate::support::client::Client::try_connect(port).is_err());
}

#[test]
fn the_demo_says_which_package_brings_a_server() {
    let dir = folder::temporary();
    let output = crate::support::remora::program().arg("demo").env("PATH", dir.path()).output().expect("the demo");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("redis-server"), "{said}");
}
