//! Clients that wait (XREAD BLOCK, WAITOFFSET) when the data become too old, the link is lost, or another master comes.

use super::{OLD, position};
use crate::support::client::{Client, Ending, Value, words};
use crate::support::proxy::Proxy;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::wait;

/// A connection that waits at this port.
#[track_caller]
fn waiting(port: u16, line: &str) -> Client {
    let mut look = Client::connect(port);
    let blocked = |look: &mut Client| look.info("clients")["blocked_clients"].parse::<usize>().expect("a number");
    let before = blocked(&mut look);
    let mut client = Client::connect(port);
    client.send(&words(line));
    wait::until(&format!("{line} waits"), SOON, || blocked(&mut look) > before);
    client
}

const READ: &str = "XREAD BLOCK 0 STREAMS s $";

#[test]
fn a_wait_for_keys_ends_when_the_data_become_too_old() {
    // Its ping would be the byte that one of them waits for.
    let Some(master) = Real::start("redis-8.0", &["--repl-ping-replica-period 3600"]) else { return };
    let proxy = Proxy::to(master.port);
    // Narrow only once both wait.
    let flags = ["--replica-max-lag-seconds", "3600", "--repl-lag-probe-interval-ms", "100"];
    let remora = Remora::follow(proxy.port, &flags);
    remora.wait_caught_up(&mut master.client());
    wait::until("reads are answered", SOON, || !remora.client().call("GET k").is_error());
    let (history, offset) = position(&mut master.client());
    let mut reader = waiting(remora.port, READ);
    let mut writer = waiting(remora.port, &format!("WAITOFFSET {history} {} 0", offset + 1));
    proxy.stall(true);
    remora.client().must("CONFIG SET replica-max-lag-seconds 1");
    assert_eq!(reader.reply(), Value::Error(OLD.into()));
    assert_eq!(remora.client().info("clients")["blocked_clients"], "1", "who waits for fresher data goes on");
    // Its connection goes on too.
    assert_eq!(reader.call("PING"), Value::Error(OLD.into()));
    proxy.stall(false);
    master.client().must("XADD s 1-1 f v");
    assert_eq!(writer.reply(), Value::Int(1));
}

#[test]
fn a_wait_goes_on_over_a_lost_link_as_at_real_replicas() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(master) = Real::start(server, &[]) else { return };
        let proxy = Proxy::to(master.port);
        let Some(real) = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", proxy.port)]) else { return };
        let remora = Remora::follow(proxy.port, &[]);
        let ports = [real.port, remora.port];
        let status = |port| Client::connect(port).info("replication")["master_link_status"].clone();
        wait::until("both are linked", SOON, || ports.iter().all(|port| status(*port) == "up"));
        ports.iter().for_each(|port| drop(Client::connect(*port).must("CONFIG SET replica-serve-stale-data no")));
        let mut readers = ports.map(|port| waiting(port, READ));
        proxy.refuse(true);
        proxy.cut();
        for port in ports {
            let refused = || Client::connect(port).call("GET k").text_starts("MASTERDOWN");
            wait::until("reads are refused", SOON, refused);
        }
        proxy.refuse(false);
        wait::until("both are linked again", SOON, || ports.iter().all(|port| status(*port) == "up"));
        master.client().must("XADD s 1-1 f v");
        let [expected, found] = &mut readers;
        assert_eq!(expected.raw_reply(), found.raw_reply(), "{server}");
    }
}

#[test]
fn another_master_ends_waits_for_keys_as_at_real_replicas() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(master) = Real::start(server, &[]) else { return };
        let Some(other) = Real::start(server, &[]) else { return };
        let Some(real) = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", master.port)]) else { return };
        let remora = Remora::follow(master.port, &[]);
        let said = [real.port, remora.port].map(|port| {
            let mut client = Client::connect(port);
            wait::until("it is linked", SOON, || client.info("replication")["master_link_status"] == "up");
            let mut reader = waiting(port, READ);
            // The same master changes nothing.
            let same = client.call(&format!("REPLICAOF 127.0.0.1 {}", master.port));
            assert!(same.text().starts_with("OK Already connected"), "{same:?}");
            assert_eq!(client.info("clients")["blocked_clients"], "1");
            client.must(&format!("REPLICAOF 127.0.0.1 {}", other.port));
            reader.rest(SOON)
        });
        let [expected, found] = said;
        assert_eq!(found, expected, "{server}");
        assert!(found.0.starts_with(b"-UNBLOCKED force unblock") && found.1 == Ending::Closed, "{found:?}");
    }
}
