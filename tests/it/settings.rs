//! Settings from flags, environment and file; mistakes name the setting and exit with 64.

use crate::support::fixture::Fixture;
use crate::support::remora::{Remora, SOON, program};
use crate::support::script::Master;
use crate::support::{folder, ports};
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
    let mut client = crate::support::client::Client::connect(port);
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
