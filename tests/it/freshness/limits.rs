//! `replica-max-lag-seconds` and `replica-max-lag-bytes`.

use super::{OLD, Stopped, staleness};
use crate::support::client::Value;
use crate::support::proxy::Proxy;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use crate::support::{folder, http, ports};

const BEHIND: &str = "MASTERDOWN More of the master's stream is missing than 'replica-max-lag-bytes' allows.";

fn ready(remora: &Remora) -> (u16, String) {
    http::get(remora.metrics_port, "/ready")
}

/// Waits until reads are answered, or refused with this error.
#[track_caller]
fn wait_reads(remora: &Remora, refused: Option<&str>) {
    let mut client = remora.client();
    wait::until(&format!("reads are refused: {refused:?}"), SOON, || match client.call("GET k") {
        Value::Error(text) => refused == Some(text.as_str()),
        _ => refused.is_none(),
    });
}

fn old_data_are_not_shown_and_not_ready(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    master.client().must("SET k v");
    let proxy = Proxy::to(master.port);
    let flags = ["--replica-max-lag-seconds", "1", "--repl-lag-probe-interval-ms", "100"];
    let remora = Remora::follow(proxy.port, &flags);
    wait_reads(&remora, None);
    wait::until("ready, the age being measured", SOON, || {
        ready(&remora).0 == 200 && staleness(&mut remora.client())["source"].text_is("probe")
    });
    proxy.stall(true);
    wait_reads(&remora, Some(OLD));
    let (status, body) = ready(&remora);
    assert_eq!(status, 503);
    assert!(body.contains("replica-max-lag-seconds") && body.contains("s old"), "{body}");
    let mut client = remora.client();
    assert_eq!(client.call("PING"), Value::Error(OLD.into()));
    assert!(client.call("SET k v").text_starts("READONLY"));
    assert!(client.call("GET").text_starts("ERR wrong number of arguments"));
    for allowed in ["CLIENT ID", "INFO", "ROLE", "CONFIG GET port", "SELECT 1", "PUBLISH a b", "CLIENT STALENESS"]
    {
        assert!(!client.call(allowed).is_error(), "{allowed}");
    }
    assert_eq!(client.call("EVAL \"return 1\" 0"), Value::Error(OLD.into()));
    if !master.is_before_redis_7() {
        let script = "#!lua flags=allow-stale,no-writes\nreturn redis.call('GET', 'k')";
        let reply = client.command(&["EVAL", script, "0"]);
        assert!(reply.text_starts("ERR Can not execute the command on a stale replica"), "{reply:?}");
    }
    assert_eq!(staleness(&mut client)["exceeded"].text(), "replica-max-lag-seconds");
    assert_eq!(remora.metric("remora_max_lag_exceeded"), 1.0);
    client.must("MULTI");
    assert_eq!(client.call("GET k"), Value::Error(OLD.into()));
    assert!(client.call("EXEC").text_starts("EXECABORT"));
    // The limit is live.
    client.must("CONFIG SET replica-max-lag-seconds 0");
    wait_reads(&remora, None);
    assert_eq!(ready(&remora).0, 200);
    client.must("CONFIG SET replica-max-lag-seconds 1");
    wait_reads(&remora, Some(OLD));
    proxy.stall(false);
    wait_reads(&remora, None);
    wait::until("ready", SOON, || ready(&remora).0 == 200);
    remora.wait_logged(&["reads are refused from now on", "replica-max-lag-seconds"]);
    remora.wait_logged(&["reads are answered again"]);
}

for_each_master!(old_data_are_not_shown_and_not_ready);

#[test]
fn a_queued_read_is_refused_by_exec() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    master.client().must("SET k v");
    // Narrow only once the read is queued.
    let flags = ["--replica-max-lag-seconds", "3600", "--repl-lag-probe-interval-ms", "100"];
    let remora = Remora::follow(master.port, &flags);
    wait_reads(&remora, None);
    let mut client = remora.client();
    client.must("MULTI");
    client.must("GET k");
    let stopped = Stopped::stop(&master);
    remora.client().must("CONFIG SET replica-max-lag-seconds 1");
    wait_reads(&remora, Some(OLD));
    assert_eq!(client.call("EXEC"), Value::Error(format!("EXECABORT Transaction discarded because of: {OLD}")));
    drop(stopped);
    wait_reads(&remora, None);
}

#[test]
fn data_that_lack_too_many_bytes_are_not_shown() {
    let Some(master) = Real::start("redis-7.0", &[]) else { return };
    master.client().must("SET k v");
    let flags = ["--replica-max-lag-bytes", "50kb", "--repl-lag-probe-interval-ms", "50"];
    let remora = Remora::follow(master.port, &[&flags[..], &["--busy-reply-threshold", "1"]].concat());
    wait_reads(&remora, None);
    let mut script = remora.client();
    script.send(&["EVAL", "while true do end", "0"]);
    // Until it has begun, what is written is applied.
    wait::until("the script runs", SOON, || remora.client().call("FUNCTION STATS").text_starts("BUSY"));
    master.client().must(&format!("SET big {}", "x".repeat(60_000)));
    wait_reads(&remora, Some(BEHIND));
    let (status, body) = ready(&remora);
    assert!(status == 503 && body.contains("replica-max-lag-bytes"), "{status} {body}");
    wait::until("the script is killed", SOON, || !remora.client().call("SCRIPT KILL").is_error());
    wait_reads(&remora, None);
    assert_eq!(ready(&remora).0, 200);
}

/// An age that is not known is beyond every limit.
#[test]
fn data_of_unknown_age_are_beyond_the_limit() {
    let Some(master) = Real::start("valkey-9.1", &[]) else { return };
    master.client().must("SET k v");
    let dir = folder::temporary();
    let flags = ["--dir", &dir.path().to_string_lossy(), "--replica-max-lag-seconds", "3600"];
    let mut remora = Remora::follow(master.port, &flags);
    wait_reads(&remora, None);
    remora.signal("TERM");
    wait::until("it has ended", SOON, || remora.ended().is_some());
    let port = master.port;
    drop(master);
    // Our own snapshot is there, of unknown age.
    let again = Remora::follow(port, &flags);
    wait_reads(&again, Some(OLD));
    again.client().must("CONFIG SET replica-max-lag-seconds 0");
    wait_reads(&again, None);
    // Without data there is nothing to refuse.
    let empty = Remora::follow(ports::free(), &["--replica-max-lag-seconds", "3600"]);
    assert!(empty.client().call("GET k").text_starts("LOADING"));
}
