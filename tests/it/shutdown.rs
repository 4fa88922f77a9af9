//! SIGTERM, SIGINT and SHUTDOWN end the program cleanly; a panic ends it at once, and the log says why.

use crate::support::beside::Beside;
use crate::support::client::{Client, Ending, words};
use crate::support::fixture::Fixture;
use crate::support::folder;

use crate::support::remora::{Remora, SOON};
use crate::support::script::Master;
use crate::support::wait;

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
