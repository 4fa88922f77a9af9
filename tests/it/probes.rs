//! `/live`, `/startup`, `/ready` and `/metrics`.

use crate::support::fixture::Fixture;
use crate::support::http;
use crate::support::remora::{Remora, SOON};
use crate::support::script::Master;
use crate::support::{ports, wait};

/// Status of the three probes.
fn probes(remora: &Remora) -> [u16; 3] {
    ["/live", "/startup", "/ready"].map(|path| http::get(remora.metrics_port, path).0)
}

#[test]
fn alive_from_the_start_but_ready_only_when_loaded() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &["--replica-serve-stale-data", "no"]);
    assert_eq!(probes(&remora), [200, 503, 503], "before the first load");
    let link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    wait::until("ready", SOON, || probes(&remora) == [200, 200, 200]);
    link.cut();
    drop(master);
    wait::until("not ready without its master", SOON, || probes(&remora) == [200, 200, 503]);
    assert_eq!(http::get(remora.metrics_port, "/nothing-here").0, 404);
}

#[test]
fn stays_ready_without_its_master_where_stale_data_may_be_served() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    wait::until("ready", SOON, || probes(&remora) == [200, 200, 200]);
    link.cut();
    drop(master);
    wait::until("the link is down", SOON, || remora.metric("remora_master_link_up") == 0.0);
    assert_eq!(probes(&remora), [200, 200, 200]);
}

#[test]
fn metrics_follow_the_link() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    let mut client = remora.client();
    for _ in 0..3 {
        client.must("GET s:text");
    }
    client.must("GET no-such-key");
    for (name, value) in [
        ("remora_master_link_up", 1.0),
        ("remora_full_syncs_total", 1.0),
        ("remora_commands_total{cmd=\"get\"}", 4.0),
        ("remora_keyspace_hits_total", 3.0),
        ("remora_keyspace_misses_total", 1.0),
        ("remora_skipped_keys", 0.0),
        ("remora_build_info", 1.0),
    ] {
        wait::until(&format!("{name} is {value}"), SOON, || remora.metric(name) == value);
    }
    assert!(remora.metric("remora_clients") >= 1.0);
    link.cut();
    drop(master);
    wait::until("the gauge of the link falls", SOON, || remora.metric("remora_master_link_up") == 0.0);
}

#[test]
fn every_metric_has_a_help_a_type_and_the_prefix() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let (status, body) = http::get(remora.metrics_port, "/metrics");
    assert_eq!(status, 200);
    for line in body.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().expect("a name");
        assert!(name.starts_with("remora_") || name.starts_with("process_"), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        for comment in ["HELP", "TYPE"] {
            let described = [name, family].iter().any(|name| body.contains(&format!("# {comment} {name} ")));
            assert!(described, "{name} has no {comment}");
        }
    }
}

#[test]
fn the_listener_can_be_turned_off_or_choose_its_port() {
    let nowhere = ports::free();
    let off = Remora::follow(nowhere, &["--metrics-addr", "none"]);
    assert!(http::try_get(off.metrics_port, "/live").is_err());
    let chosen = Remora::follow(nowhere, &["--metrics-addr", "127.0.0.1:0"]);
    let found = wait::until_some("the log names the port", SOON, || {
        let log = chosen.log();
        let ports: Vec<u16> = log
            .split("127.0.0.1:")
            .skip(1)
            .filter_map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok())
            .collect();
        ports.into_iter().find(|port| http::try_get(*port, "/live").is_ok_and(|(status, _)| status == 200))
    });
    assert_ne!(found, chosen.port);
}
