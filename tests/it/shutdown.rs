//! SIGTERM, SIGINT and SHUTDOWN end the program cleanly; a panic ends it at once, and the log says why.

use crate::support::beside::Beside;
use crate::support::client::{Client, Ending, words};
use crate::support::fixture::Fixture;
use crate::support::folder;
use crate::support::follower::Follower;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::script::Master;
use crate::support::wait;
use std::process::Command;

fn ends_cleanly(signal: &str) {
    let master = Master::listen();
    let mut remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    let mut client = remora.client();
    client.must("PING");
    remora.signal(signal);
    let status = wait::until_some("remora ends", SOON, || remora.ended());
    assert_eq!(status.code(), Some(0), "after SIG{signal}");
    assert_eq!(client.rest(SOON).1, Ending::Closed, "clients are let go");
    link.wait_closed(SOON);
    assert!(Client::try_connect(remora.port).is_err(), "nobody listens any more");
    assert!(!remora.log().to_lowercase().contains("panic"), "{}", remora.log());
}

#[test]
fn sigterm_ends_it_with_0() {
    ends_cleanly("TERM");
}

#[test]
fn sigint_ends_it_with_0() {
    ends_cleanly("INT");
}

#[test]
fn it_ends_while_it_looks_for_its_master_too() {
    let mut remora = Remora::follow(crate::support::ports::free(), &[]);
    remora.signal("TERM");
    assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(0));
}

const NEWEST: [&str; 2] = ["redis-8.0", "valkey-9.1"];

/// SHUTDOWN by a client of a remora with a folder for its snapshot: it ends with 0 without a reply; `saved` says whether the
/// snapshot is there then.
fn ends_at(shutdown: &str, saved: bool) {
    let master = Master::listen();
    let folder = folder::temporary();
    let mut remora = Remora::follow(master.port, &["--dir", &folder.path().to_string_lossy()]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    let (mut client, mut other) = (remora.client(), remora.client());
    other.must("PING");
    client.send(&words(shutdown));
    assert_eq!(client.rest(SOON), (Vec::new(), Ending::Closed), "{shutdown}");
    assert_eq!(other.rest(SOON).1, Ending::Closed, "{shutdown}");
    let status = wait::until_some("remora ends", SOON, || remora.ended());
    assert_eq!(status.code(), Some(0), "{shutdown}: {}", remora.log());
    link.wait_closed(SOON);
    assert_eq!(folder.path().join("remora.rdb").exists(), saved, "{shutdown}: {}", remora.log());
}

#[test]
fn shutdown_ends_it_and_saves_unless_told_not_to() {
    ends_at("SHUTDOWN", true);
    ends_at("SHUTDOWN SAVE NOW FORCE", true);
    ends_at("SHUTDOWN NOSAVE", false);
}

#[test]
fn a_shutdown_that_is_refused_is_refused_as_by_real_servers() {
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        let script = "
            SHUTDOWN ABORT
            SHUTDOWN ABORT ABORT
            SHUTDOWN NOSAVE SAVE
            SHUTDOWN SAVE NOSAVE
            SHUTDOWN ABORT NOW
            SHUTDOWN NOW ABORT
            SHUTDOWN ABORT NOSAVE
            SHUTDOWN foo
            SHUTDOWN NOSAVE NOSAVE x
            MULTI
            SHUTDOWN NOSAVE
            EXEC
            ACL SETUSER u on nopass +@all -@admin +acl
            AUTH u x
            SHUTDOWN NOSAVE
            PING";
        let wrong = beside.differences(script, false, |_, reply| String::from_utf8_lossy(reply).into_owned());
        assert!(wrong.is_empty(), "{server}: {}", wrong.join("\n"));
        let refused = beside.remora.client().call("SHUTDOWN SAVE");
        assert!(refused.is_error(), "{refused:?}");
    }
}

const ENDLESS: &str = "while true do end";

/// A connection whose script never ends, once others hear that it is busy.
#[track_caller]
fn busy(port: u16) -> Client {
    let mut client = Client::connect(port);
    client.send(&["EVAL", ENDLESS, "0"]);
    wait::until("a script is busy", SOON, || {
        Client::connect(port).call("EVAL \"return 1\" 0").text_starts("BUSY")
    });
    client
}

/// Whatever a client runs, the end comes: real servers wait for the script, or want NOSAVE.
#[test]
fn a_busy_script_does_not_keep_it() {
    let ends = |end: &dyn Fn(&Remora)| {
        let master = Master::listen();
        let folder = folder::temporary();
        let flags = ["--dir", &folder.path().to_string_lossy(), "--busy-reply-threshold", "50"];
        let mut remora = Remora::follow(master.port, &flags);
        let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
        link.wait_ack(10);
        remora.wait_linked();
        let mut client = busy(remora.port);
        end(&remora);
        assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(0), "{}", remora.log());
        assert_eq!(client.rest(SOON).1, Ending::Closed);
        folder.path().join("remora.rdb").exists()
    };
    assert!(ends(&|remora| remora.signal("TERM")) && ends(&|remora| remora.signal("INT")));
    let shutdown = |line: &'static str| move |remora: &Remora| remora.client().send(&words(line));
    assert!(ends(&shutdown("SHUTDOWN")) && ends(&shutdown("SHUTDOWN SAVE NOW FORCE")));
    assert!(!ends(&shutdown("SHUTDOWN NOSAVE")));
}

#[test]
fn shutdown_nosave_beside_a_busy_script_is_that_of_real_replicas() {
    for server in NEWEST {
        let settings = ["--busy-reply-threshold", "50"];
        let Some(beside) = Beside::start(server, &[&settings.join(" ")], &settings) else { return };
        let Beside { master: _master, replica: mut real, mut remora } = beside;
        let said = [real.port, remora.port].map(|port| {
            let _busy = busy(port);
            let abort = Client::connect(port).call("SHUTDOWN ABORT");
            let mut client = Client::connect(port);
            client.send(&words("SHUTDOWN NOSAVE NOW FORCE"));
            (abort, client.rest(SOON))
        });
        assert_eq!(said[0], said[1], "{server}");
        let ended = [
            wait::until_some("the real one ends", SOON, || real.ended()),
            wait::until_some("remora ends", SOON, || remora.ended()),
        ];
        assert_eq!(ended.map(|status| status.code()), [Some(0); 2], "{server}");
    }
}

/// A script of a transaction holds its worker and the data; with this threshold nobody but the end stops it.
#[test]
fn a_script_of_a_transaction_that_never_ends_does_not_keep_it() {
    for end in ["TERM", "INT"] {
        let master = Master::listen();
        let mut remora = Remora::follow(master.port, &["--busy-reply-threshold", "0"]);
        let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
        link.wait_ack(10);
        remora.wait_linked();
        let mut client = remora.client();
        client.must("MULTI");
        client.command(&["EVAL", ENDLESS, "0"]);
        client.send(&["EXEC"]);
        wait::until("it runs", SOON, || has_thread(remora.pid(), "script-inline"));
        // Now the link waits for the data too.
        link.stream(&["SET seen 1"]);
        remora.signal(end);
        assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(0), "{}", remora.log());
        assert_eq!(client.rest(SOON).1, Ending::Closed);
    }
}

/// Does a process run a thread of this name?
fn has_thread(pid: u32, name: &str) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    tasks
        .flatten()
        .any(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
}

#[test]
fn sub_replicas_in_the_middle_of_a_sync_do_not_keep_it() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    master.client().must("DEBUG POPULATE 50000 key 1000");
    let folder = folder::temporary();
    let flags = ["--dir", &folder.path().to_string_lossy(), "--repl-diskless-sync-delay", "0"];
    let mut remora = Remora::follow(master.port, &flags);
    remora.wait_caught_up(&mut master.client());
    // It takes the first line of the snapshot and no more.
    let mut below = Follower::introduced_as(remora.port, &["REPLCONF capa eof capa psync2"]);
    assert!(below.ask("PSYNC ? -1").starts_with("+FULLRESYNC"));
    assert!(below.line().starts_with("$EOF:"));
    // And another only asks.
    let mut waits = Follower::introduced_as(remora.port, &["REPLCONF capa eof capa psync2"]);
    assert!(waits.ask("PSYNC ? -1").starts_with("+FULLRESYNC"));
    remora.signal("TERM");
    assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(0), "{}", remora.log());
    below.rest();
    assert!(remora.log().contains("saved"), "{}", remora.log());
    let again = Remora::follow(master.port, &flags);
    again.wait_caught_up(&mut master.client());
    assert_eq!(again.client().must("DBSIZE").int(), 50_000);
    assert_eq!(again.metric("remora_restores_total"), 1.0, "the file is whole");
}

/// A remora with data and with a folder in which the next save hangs: a pipe that nobody reads stands where it writes.
fn with_a_disk_that_hangs(flags: &[&str]) -> (Remora, tempfile::TempDir) {
    let (master, folder) = (Master::listen(), folder::temporary());
    let dir = folder.path().to_string_lossy().into_owned();
    let remora = Remora::follow(master.port, &[&["--dir", &dir], flags].concat());
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    let pipe = folder.path().join("remora.rdb.unfinished");
    assert!(Command::new("mkfifo").arg(pipe).status().expect("running mkfifo").success());
    (remora, folder)
}

#[test]
fn a_disk_that_hangs_does_not_keep_it() {
    let (mut remora, _folder) = with_a_disk_that_hangs(&["--save-timeout", "0"]);
    remora.signal("TERM");
    assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(1), "{}", remora.log());
    assert!(remora.log().contains("dir does not answer"), "{}", remora.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "INT"), ("INT", "TERM")] {
        let (mut remora, _folder) = with_a_disk_that_hangs(&["--save-timeout", "3600"]);
        remora.signal(first);
        remora.wait_logged(&["stopping"]);
        remora.signal(second);
        assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(1), "{}", remora.log());
    }
    let (mut remora, _folder) = with_a_disk_that_hangs(&["--save-timeout", "3600"]);
    remora.client().send(&["SHUTDOWN"]);
    remora.wait_logged(&["stopping"]);
    remora.signal("TERM");
    assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(1), "{}", remora.log());
}

/// What is logged by a remora that panics while it answers a client: a task of its worker, which a runtime would let die
/// alone.
fn logged_panic(format: &str) -> String {
    let master = Master::listen();
    let mut remora = Remora::follow(master.port, &["--log-format", format]);
    drop(remora.client().try_call("DEBUG PANIC"));
    let status = wait::until_some("remora ends", SOON, || remora.ended());
    assert_eq!(status.code(), Some(1), "{}", remora.log());
    let log = remora.log();
    let line = log.lines().find(|line| line.contains("panicked"));
    line.unwrap_or_else(|| panic!("no word of it in\n{log}")).to_owned()
}

#[test]
fn a_panic_is_logged_and_ends_the_process() {
    let line = logged_panic("text");
    for part in [
        "ERROR",
        "panicked: DEBUG PANIC; the process ends",
        "thread=\"worker-",
        "at=\"src/command/server/debug.rs:",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let line = logged_panic("json");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(
        (&line["level"], &line["message"]),
        (&"ERROR".into(), &"panicked: DEBUG PANIC; the process ends".into())
    );
}
