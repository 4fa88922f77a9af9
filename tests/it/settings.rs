//! Settings from flags, environment and file; mistakes name the setting and exit with 64.

use crate::support::client::{Client, Ending};
use crate::support::fixture::Fixture;
use crate::support::real;
use crate::support::remora::{Remora, SOON, program};
use crate::support::script::Master;
use crate::support::{folder, ports, wait};
use remora::config::{Action, SETTINGS, from_process};
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs it to its end, which must come at once: remora that goes on has accepted what it should have refused.
#[track_caller]
fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starting remora");
    let start = Instant::now();
    while child.try_wait().expect("asking for the child").is_none() {
        if start.elapsed() > SOON {
            let _ = child.kill();
            panic!("{command:?} goes on");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

pub fn check_refused(args: &[&str], named: &str) {
    let output = run(program().args(args));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(64), "{args:?} said {said}");
    assert!(said.contains(named), "{args:?} should name {named:?} and said {said}");
    assert!(!said.contains("hunter2"), "{args:?} prints a secret: {said}");
}

#[test]
fn mistakes_name_the_setting_and_exit_with_64() {
    check_refused(&["--no-such-setting", "1"], "no-such-setting");
    check_refused(&["--port", "seventy", "--replicaof", "h 1"], "port");
    check_refused(&["--port", "70000", "--replicaof", "h 1"], "port");
    check_refused(&["--replicaof", "only-a-host"], "replicaof");
    check_refused(&["--replicaof", "h 1", "--masterauth", "hunter2", "--loglevel", "loud"], "loglevel");
    check_refused(&["--replicaof", "ftp://user:hunter2@host:1"], "replicaof");
    check_refused(&["--replicaof", "h 1", "--metrics-addr", "nowhere"], "metrics-addr");
    check_refused(&["/no/such/file.conf"], "/no/such/file.conf");
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    let dir = folder::temporary();
    let path = dir.path().join("remora.conf");
    std::fs::write(&path, "replicaof 127.0.0.1 1\n# a comment\nport many\n").expect("writing the file");
    let path = path.to_string_lossy();
    check_refused(&[&path], "port");
    check_refused(&[&path], "3");
}

#[test]
fn help_and_version_exit_with_0() {
    for flag in ["--help", "--version"] {
        let output = run(program().arg(flag));
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("remora"), "{flag}");
    }
}

#[test]
fn flags_come_before_environment_and_environment_before_the_file() {
    let master = Master::listen();
    let dir = folder::temporary();
    let path = dir.path().join("remora.conf");
    let text = format!("replicaof 127.0.0.1 {}\nmaxclients 11\ntimeout 22\nrepl-timeout 33\n", master.port);
    std::fs::write(&path, text).expect("writing the file");
    let port = ports::free();
    let mut child = program()
        .arg(&path)
        .args(["--port", &port.to_string(), "--metrics-addr", "none", "--repl-timeout", "44"])
        .env("REMORA_TIMEOUT", "55")
        .env("REMORA_REPL_TIMEOUT", "66")
        .spawn()
        .expect("starting remora");
    let mut link = master.serve(&Fixture::load("handmade-empty.rdb").bytes, 10);
    link.wait_ack(10);
    let mut client = Client::connect(port);
    let mut shown = |name: &str| client.must(&format!("CONFIG GET {name}")).items()[1].text();
    assert_eq!([shown("maxclients"), shown("timeout"), shown("repl-timeout")], ["11", "55", "44"]);
    child.kill().expect("stopping it");
    child.wait().expect("its end");
}

#[test]
fn some_settings_change_while_it_runs() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut client = remora.client();
    client.must("CONFIG SET maxclients 77 timeout 5");
    assert_eq!(client.must("CONFIG GET maxclients").items()[1].text(), "77");
    assert!(client.call("CONFIG SET port 1").is_error(), "the port is fixed");
    assert!(client.call("CONFIG SET no-such-setting 1").is_error());
    assert_eq!(client.must("CONFIG GET no-such-setting").items().len(), 0);
}

/// Starts with these arguments and this environment, in this process: only the settings are read.
fn read(args: &[&str], environment: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let args = std::iter::once("remora").chain(args.iter().copied()).map(OsString::from);
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match from_process(args, environment).map_err(|error| error.to_string())? {
        Action::Run(startup) => Ok(startup.warnings),
        other => Err(format!("{other:?}")),
    }
}

/// Settings that take any text; what they name may turn out later not to be there.
const TEXTS: [&str; 17] = [
    "masteruser",
    "masterauth",
    "unixsocket",
    "requirepass",
    "aclfile",
    "replica-announce-ip",
    "sentinel-auth-pass",
    "logfile",
    "dir",
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
];

#[test]
fn every_setting_refuses_nonsense_by_its_name() {
    let dir = folder::temporary();
    let path = dir.path().join("remora.conf");
    for setting in SETTINGS {
        let name = setting.name;
        if TEXTS.contains(&name) || name == "tls-expected-peer-name" {
            continue;
        }
        let nonsense = "%non sense%";
        let master = ["--replicaof", "h:1"];
        let master = if name == "replicaof" { &[][..] } else { &master };
        let named = |source: &str, said: Result<Vec<String>, String>, expected: &str| {
            let said = said.expect_err(&format!("{name} takes nonsense as a {source}"));
            assert!(said.contains(expected), "{name} as a {source}: {said}");
        };
        named("flag", read(&[master, &[&format!("--{name}"), nonsense]].concat(), &[]), &format!("--{name}: "));
        let variable = format!("REMORA_{}", name.to_ascii_uppercase().replace('-', "_"));
        named("variable", read(master, &[(&variable, nonsense)]), &format!("{variable}: "));
        let text = if setting.words { nonsense.to_owned() } else { format!("\"{nonsense}\"") };
        std::fs::write(&path, format!("# first\n{name} {text}\n")).expect("writing the file");
        let file = path.to_str().expect("UTF-8");
        named("line", read(&[&[file], master].concat(), &[]), &format!("remora.conf:2: {name}: "));
    }
}

#[test]
fn the_packaged_files_of_the_real_servers_are_taken_as_they_are() {
    for server in real::NAMES {
        if folder::peer(&format!("{server}-server")).is_none() {
            continue;
        }
        let kind = server.split('-').next().expect("a name");
        let path = folder::peers().join(format!(".{server}/etc/{kind}/{kind}.conf"));
        assert!(path.exists(), "{} is not here", path.display());
        let path = path.to_str().expect("UTF-8");
        let warnings =
            read(&[path, "--replicaof", "h:1"], &[]).unwrap_or_else(|error| panic!("{server}: {error}"));
        let warned = |what: &str| warnings.iter().any(|warning| warning.contains(what));
        assert!(
            warned("replica-priority: remora is never promoted") && warned("daemonize"),
            "{server}: {warnings:?}"
        );
    }
}

/// Cannot start: exit code 1, and the message says which of the addresses is taken.
#[track_caller]
fn check_taken(args: &[&str], named: &str) {
    let output = run(program().args(["--replicaof", "127.0.0.1:1", "--loglevel", "nothing"]).args(args));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?} said {said}");
    assert!(said.contains(named), "{args:?} should say {named:?} and said {said}");
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", ports::free())).expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let (port, free) = (port.to_string(), ports::free().to_string());
    let metrics = format!("127.0.0.1:{port}");
    check_taken(&["--port", &port, "--metrics-addr", "none"], &format!("bind 127.0.0.1 port {port}: "));
    check_taken(&["--port", &free, "--metrics-addr", &metrics], &format!("metrics-addr {metrics}: "));
    // 192.0.2.1 belongs to documents, and to no machine.
    let args = ["--port", &free, "--bind", "192.0.2.1", "--metrics-addr", "none"];
    check_taken(&args, &format!("bind 192.0.2.1 port {free}: "));
    let args = ["--port", &free, "--unixsocket", "/no/such/folder/x", "--metrics-addr", "none"];
    check_taken(&args, "unixsocket /no/such/folder/x: ");
}

#[test]
fn idle_clients_are_closed_after_the_timeout() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &["--timeout", "1"]);
    let mut client = Client::connect(remora.port);
    client.must("CLIENT ID");
    assert_eq!(client.rest(SOON).1, Ending::Closed);
    remora.client().must("CONFIG SET timeout 0");
    let mut client = Client::connect(remora.port);
    client.must("CLIENT ID");
    assert_eq!(client.rest(Duration::from_secs(3)).1, Ending::Silent, "0 is never");
}

#[test]
fn the_unix_socket_has_the_permissions_of_the_setting() {
    let (master, dir) = (Master::listen(), folder::temporary());
    let path = dir.path().join("sock");
    let name = path.to_str().expect("UTF-8");
    let remora = Remora::follow(master.port, &["--unixsocket", name, "--unixsocketperm", "640"]);
    assert_eq!(remora.client().must("CONFIG GET unixsocketperm").items()[1].text(), "640");
    let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn log_lines_go_to_the_file_in_the_form_that_is_wanted() {
    let (master, dir) = (Master::listen(), folder::temporary());
    let path = dir.path().join("remora.log");
    let name = path.to_str().expect("UTF-8");
    let remora = Remora::follow(master.port, &["--logfile", name, "--log-format", "json"]);
    let mut client = remora.client();
    client.must("CONFIG SET timeout 7");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    wait::until("the change is logged", SOON, || text().contains("settings changed"));
    for line in text().lines() {
        assert!(line.starts_with('{') && line.ends_with('}') && line.contains("\"level\":"), "no JSON: {line}");
    }
    assert_eq!(remora.log(), "", "standard output has nothing");
}

#[test]
fn a_changed_repl_timeout_counts_for_the_link_that_stands() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &["--repl-timeout", "3600"]);
    let mut link = master.serve(&Fixture::load("handmade-empty.rdb").bytes, 10);
    link.wait_ack(10);
    remora.client().must("CONFIG SET repl-timeout 1");
    link.wait_closed(SOON);
    remora.wait_logged(&["nothing came from the master for repl-timeout"]);
}
