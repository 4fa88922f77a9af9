//! A full sync while there are old data: beside them, or in their place where memory does not allow both.

use crate::support::client::words;
use crate::support::http;
use crate::support::remora::{Remora, SOON};
use crate::support::script::{Framing, Link, Master, OTHER_REPLID};
use crate::support::wait::{self, Finally};
use remora::rdb::primitive::{put_length, put_plain};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

/// A snapshot with one key, of a master that says it uses so much memory.
fn snapshot(value: &str, used_mem: Option<u64>) -> Vec<u8> {
    let mut bytes = b"REDIS0012".to_vec();
    let used_mem = used_mem.map(|bytes| bytes.to_string());
    for (name, value) in [("redis-ver", Some("8.0.6")), ("used-mem", used_mem.as_deref())] {
        let Some(value) = value else { continue };
        bytes.push(0xfa);
        put_plain(&mut bytes, name.as_bytes());
        put_plain(&mut bytes, value.as_bytes());
    }
    bytes.extend_from_slice(&[0xfe, 0, 0]);
    put_plain(&mut bytes, b"key");
    put_length(&mut bytes, value.len() as u64);
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0xff);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

/// A second full sync, of which only the first half has come.
fn half_way(master: &Master, snapshot: &[u8]) -> Link {
    let mut link = master.accept();
    link.handshake();
    link.say(format!("+FULLRESYNC {OTHER_REPLID} 5000\r\n${}\r\n", snapshot.len()));
    link.say(&snapshot[..snapshot.len() / 2]);
    link
}

fn check(flags: &[&str], used_mem: Option<u64>, old_go_first: bool) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, flags);
    let mut link = master.serve(&snapshot("old", None), 1000);
    link.wait_ack(1000);
    remora.wait_linked();
    let mut client = remora.client();
    assert_eq!(client.must("GET key").text(), "old", "{flags:?}");
    link.cut();

    let new = snapshot(&"new ".repeat(100), used_mem);
    let mut link = half_way(&master, &new);
    if old_go_first {
        wait::until("the old data are gone", SOON, || client.call("GET key").text_starts("LOADING"));
        assert_eq!(client.info("persistence")["loading"], "1");
        assert_eq!(http::get(remora.metrics_port, "/ready").0, 503);
        assert_eq!(http::get(remora.metrics_port, "/startup").0, 200, "never taken back");
        assert!(client.call("DBSIZE").text_starts("LOADING"));
    } else {
        remora.wait_logged(&["the old data answer until the snapshot is complete", "MiB in use", "to come"]);
        assert_eq!(client.must("GET key").text(), "old", "{flags:?}");
    }
    link.say(&new[new.len() / 2..]);
    link.wait_ack(5000);
    remora.wait_linked();
    assert!(client.must("GET key").text().starts_with("new new"));
    assert_eq!(http::get(remora.metrics_port, "/ready").0, 200);
    let told = remora.log().contains("the old data go first");
    assert_eq!(told, old_go_first, "{flags:?}: {}", remora.log());
}

#[test]
fn swap_keeps_the_old_data_whatever_comes() {
    check(&[], Some(1 << 50), false);
    check(&["--repl-diskless-load", "swapdb", "--memory-limit", "1mb"], None, false);
}

#[test]
fn flush_drops_the_old_data_first() {
    check(&["--repl-diskless-load", "flush", "--memory-limit", "100gb"], Some(1), true);
}

#[test]
fn auto_does_what_memory_allows() {
    check(&["--repl-diskless-load", "auto", "--memory-limit", "8gb"], Some(1 << 30), false);
    check(&["--repl-diskless-load", "auto", "--memory-limit", "8gb"], Some(8 << 30), true);
    // The master does not say: the length of the snapshot is what there is.
    check(&["--repl-diskless-load", "auto", "--memory-limit", "8gb"], None, false);
    check(&["--repl-diskless-load", "auto", "--memory-limit", "1mb"], None, true);
}

#[test]
fn a_snapshot_that_breaks_off_leaves_nothing_after_a_flush_and_all_after_a_swap() {
    for (setting, kept) in [("flush", false), ("swap", true)] {
        let master = Master::listen();
        let remora = Remora::follow(master.port, &["--repl-diskless-load", setting]);
        let mut link = master.serve(&snapshot("old", None), 1000);
        link.wait_ack(1000);
        remora.wait_linked();
        link.cut();
        let new = snapshot(&"new ".repeat(100), Some(1));
        let link = half_way(&master, &new);
        remora.wait_logged(&["the old data"]);
        link.cut();
        let (replid, offset) = master.accept().handshake();
        let asked = if kept { "1001" } else { "-1" };
        assert_eq!(offset.to_string(), asked, "{setting}: {replid}");
        let said = remora.client().call("GET key");
        assert_eq!(said.text_is("old"), kept, "{setting}: {said:?}");
    }
}

/// A reader that waits at the gate while the old data go must not take the emptiness behind it for data.
#[test]
fn a_key_that_is_always_there_is_never_answered_as_missing() {
    const SYNCS: usize = 60;
    let masters = [Master::listen(), Master::listen()];
    let remora = Remora::follow(masters[0].port, &["--repl-diskless-load", "flush"]);
    let held = snapshot("always", None);
    let mut link = masters[0].serve(&held, 1000);
    link.wait_ack(1000);
    remora.wait_linked();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = remora.client();
                let batch = vec![words("GET key"); 50];
                while !done.load(SeqCst) {
                    for said in client.pipeline(&batch) {
                        assert!(said.text_is("always") || said.text_starts("LOADING"), "{said:?}");
                    }
                    let keys = client.call("KEYS *");
                    assert!(keys.text_starts("LOADING") || keys.items().len() == 1, "{keys:?}");
                }
            });
        }
        let _until = Finally(&done);
        let mut client = remora.client();
        for n in 1..=SYNCS {
            let next = &masters[n % 2];
            client.must(&format!("REPLICAOF 127.0.0.1 {}", next.port));
            link = next.accept();
            link.handshake();
            link.full_resync(OTHER_REPLID, 5000, &held, Framing::Length);
            link.wait_ack(5000);
        }
    });
}
