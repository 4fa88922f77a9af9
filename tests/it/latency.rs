//! LATENCY beside real replicas: which spikes become events, how they are shown, and `latency-tracking`.

use crate::support::beside::Beside;
use crate::support::client::{Client, encode, words};
use crate::support::wait;
use std::collections::BTreeSet;
use std::time::Duration;

/// A reply with `N` for each number: times differ, forms and texts must not. Settings come in any order.
fn without_numbers(line: &str, reply: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(reply).chars() {
        match c {
            '0'..='9' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            c => text.push(c),
        }
    }
    if line.starts_with("CONFIG GET") {
        let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
        words.sort_unstable();
        return words.join(" ");
    }
    text
}

fn spikes_are_shown_as_by_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    // The threshold is far above what a busy machine does to a command.
    let script = "
        CONFIG GET latency-*
        LATENCY LATEST
        LATENCY LATEST x
        LATENCY HISTORY
        LATENCY HISTORY command
        LATENCY GRAPH command
        LATENCY GRAPH
        LATENCY DOCTOR
        LATENCY DOCTOR x
        LATENCY RESET
        LATENCY RESET a b
        LATENCY foo
        LATENCY
        LATENCY HELP
        CONFIG SET latency-monitor-threshold -1
        CONFIG SET latency-monitor-threshold x
        CONFIG SET latency-monitor-threshold 500
        CONFIG GET latency-monitor-threshold
        LATENCY DOCTOR
        DEBUG SLEEP 0.55
        LATENCY LATEST
        LATENCY HISTORY command
        LATENCY HISTORY COMMAND
        LATENCY HISTORY fast-command
        LATENCY GRAPH command
        LATENCY GRAPH Command
        LATENCY DOCTOR
        CONFIG SET slowlog-log-slower-than -1
        LATENCY DOCTOR
        CONFIG SET slowlog-log-slower-than 501000
        LATENCY DOCTOR
        CONFIG SET slowlog-log-slower-than 500999
        LATENCY DOCTOR
        CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 0
        LATENCY DOCTOR
        CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128 latency-monitor-threshold 0
        LATENCY DOCTOR
        LATENCY RESET foo COMMAND command
        LATENCY LATEST
        LATENCY DOCTOR";
    for resp3 in [false, true] {
        let wrong = beside.differences(script, resp3, without_numbers);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn spikes_are_shown_as_by_redis() {
    spikes_are_shown_as_by_a_real_replica("redis-8.0");
}

#[test]
fn spikes_are_shown_as_by_valkey() {
    spikes_are_shown_as_by_a_real_replica("valkey-9.1");
}

/// The events that have samples.
fn events(client: &mut Client) -> BTreeSet<String> {
    client.must("LATENCY LATEST").items().iter().map(|event| event.items()[0].text()).collect()
}

/// Does `slow` until it was a spike with this name.
#[track_caller]
fn gives(client: &mut Client, event: &str, mut slow: impl FnMut(&mut Client)) {
    client.must("LATENCY RESET");
    wait::until(&format!("there is a {event}"), Duration::from_secs(60), || {
        slow(client);
        events(client).contains(event)
    });
}

fn spikes_have_the_names_of_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &["--slowlog-log-slower-than", "-1"]) else { return };
    let mut master = beside.master.client();
    let members: Vec<String> = (0..200_000).map(|n| format!("member:{n}")).collect();
    master.must(&format!("SADD big {}", members.join(" ")));
    beside.settle();
    for port in [beside.replica.port, beside.remora.port] {
        let mut client = Client::connect(port);
        client.must("CONFIG SET latency-monitor-threshold 1");
        gives(&mut client, "command", |client| drop(client.must("SMEMBERS big")));
        let request = encode(&words(&format!("SMISMEMBER big {}", members.join(" "))));
        gives(&mut client, "fast-command", |client| {
            client.send_raw(&request);
            client.reply();
        });
        let script = "EVAL \"for i = 1, 2000000 do end\" 0";
        gives(&mut client, "command", |client| drop(client.must(script)));
        gives(&mut client, "command", |_| drop(master.must("SUNIONSTORE other big big")));

        let mut waiting = Client::connect(port);
        gives(&mut client, "command", |client| {
            waiting.send(&words("XREAD BLOCK 0 STREAMS stream $"));
            wait::until("it waits", Duration::from_secs(30), || client.info("clients")["blocked_clients"] == "1");
            master.must(&format!("XADD stream * {}", members.join(" ")));
            waiting.reply();
        });
        client.must("CONFIG SET latency-monitor-threshold 0");
    }
}

#[test]
fn spikes_have_the_names_of_redis() {
    spikes_have_the_names_of_a_real_replica("redis-8.0");
}

#[test]
fn spikes_have_the_names_of_valkey() {
    spikes_have_the_names_of_a_real_replica("valkey-9.1");
}

fn tracking_of_times_is_that_of_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    let script = "
        CONFIG GET latency-tracking*
        CONFIG SET latency-tracking maybe
        CONFIG SET latency-tracking-info-percentiles abc
        CONFIG SET latency-tracking-info-percentiles 101
        CONFIG SET latency-tracking-info-percentiles -1
        PING
        PING
        LATENCY HISTOGRAM ping nosuch
        CONFIG SET latency-tracking no
        CONFIG GET latency-tracking
        INFO latencystats
        ECHO x
        LATENCY HISTOGRAM echo ping
        CONFIG SET latency-tracking yes
        ECHO x
        LATENCY HISTOGRAM echo
        CONFIG SET latency-tracking-info-percentiles 1e1
        CONFIG GET latency-tracking-info-percentiles";
    // Which times there were is not the same.
    let calls = |line: &str, reply: &[u8]| {
        let shown = without_numbers(line, reply);
        if line.contains("HISTOGRAM") {
            shown.split("histogram_usec").next().unwrap_or_default().into()
        } else {
            shown
        }
    };
    let wrong = beside.differences(script, false, calls);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let lines = |port: u16, percentiles: &str| {
        let mut client = Client::connect(port);
        client.command(&["CONFIG", "SET", "latency-tracking-info-percentiles", percentiles]);
        let shown = client.must("CONFIG GET latency-tracking-info-percentiles").items()[1].text();
        let stats = client.must("INFO latencystats").text();
        let echo = stats.lines().find(|line| line.starts_with("latency_percentiles_usec_echo:"));
        (shown, without_numbers("", echo.expect("ECHO was called").as_bytes()))
    };
    for percentiles in ["50 99 99.9", "99.9999999 0 50 50", "", "100"] {
        let (expected, found) = (lines(beside.replica.port, percentiles), lines(beside.remora.port, percentiles));
        assert_eq!(found, expected, "{percentiles:?}");
    }
}

#[test]
fn tracking_of_times_is_that_of_redis() {
    tracking_of_times_is_that_of_a_real_replica("redis-8.0");
}

#[test]
fn tracking_of_times_is_that_of_valkey() {
    tracking_of_times_is_that_of_a_real_replica("valkey-9.1");
}
