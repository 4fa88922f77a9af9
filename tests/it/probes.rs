//! `/live`, `/startup`, `/ready` and `/metrics`.

use crate::support::fixture::Fixture;
use crate::support::http;
use crate::support::remora::{Remora, SOON};
use crate::support::script::Master;
use crate::support::{ports, wait};

#[test]
fn alive_from_the_start_but_ready_only_when_loaded_and_linked() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &["--replica-serve-stale-data", "no"]);
    let status = |path: &str| http::get(remora.metrics_port, path).0;
    assert_eq!([status("/live"), status("/startup"), status("/ready")], [200, 503, 503], "before the first load");
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    wait::until("ready", SOON, || status("/ready") == 200);
    assert_eq!([status("/live"), status("/startup")], [200, 200], "when loaded");
    link.cut();
    drop(master);
    wait::until("not ready without its master", SOON, || status("/ready") == 503);
    assert_eq!([status("/live"), status("/startup")], [200, 200], "liveness does not depend on the master");
    assert_eq!(status("/nothing-here"), 404);
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
    let port = ports::free();
    let nobody = ports::free();
    let off = Remora::follow(nobody, &["--metrics-addr", "none"]);
    assert!(http::try_get(off.metrics_port, "/live").is_err());
    let chosen = Remora::follow(nobody, &["--metrics-addr", "127.0.0.1:0"]);
    let found = wait::until_some("the log names the port", SOON, || {
        let log = chosen.log();
        let ports: Vec<u16> = log
            .split("127.0.0.1:")
            .skip(1)
            .filter_map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok())
            .collect();
        ports.into_iter().find(|port| http::try_get(*port, "/live").is_ok_and(|(status, _)| status == 200))
    });
    assert_ne!(found, port);
}
