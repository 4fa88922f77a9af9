//! The master is killed and comes back with other data: reads never stop.

use crate::support::compare::assert_same_digest;
use crate::support::real::Real;
use crate::support::remora::Remora;
use crate::support::wait::{self, Finally};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a hammering reader saw.
#[derive(Debug, Default)]
struct Seen {
    replies: u64,
    longest: Duration,
    errors: Vec<String>,
}

/// Reads as fast as answers come until told to stop.
fn hammer(remora: &Remora, stop: &AtomicBool) -> Seen {
    let mut client = remora.client();
    let mut seen = Seen::default();
    let mut last = Instant::now();
    for n in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let line = ["GET common", "GET key:77", "EXISTS key:5 common", "HGETALL hash"][(n % 4) as usize];
        let reply = client.call(line);
        if reply.is_error() {
            seen.errors.push(format!("{line}: {}", reply.text()));
        }
        seen.longest = seen.longest.max(last.elapsed());
        last = Instant::now();
        seen.replies += 1;
    }
    seen
}

/// The longest time for which the machine kept a thread from running that only wanted a millisecond's rest: what a
/// shared machine does to everybody, remora or not.
fn machine_pause(stop: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        std::thread::park_timeout(Duration::from_millis(1));
        longest = longest.max(asked.elapsed());
    }
    longest
}

fn fill(master: &Real, mark: &str, keys: usize) {
    let requests: Vec<Vec<String>> =
        (0..keys).map(|n| vec!["SET".into(), format!("key:{n}"), format!("{mark}-{n}")]).collect();
    let mut client = master.client();
    client.pipeline(&requests);
    client.must(&format!("SET common {mark}"));
    client.must(&format!("HSET hash of {mark}"));
}

#[test]
fn reads_never_stop_while_the_master_is_killed_and_returns_with_other_data() {
    let Some(mut master) = Real::start("redis-7.0", &[]) else { return };
    fill(&master, "old", 100_000);
    let remora = Remora::follow(master.port, &["--io-threads", "2"]);
    remora.wait_linked();

    let stop = AtomicBool::new(false);
    let (seen, pause) = std::thread::scope(|scope| {
        let machine = scope.spawn(|| machine_pause(&stop));
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| hammer(&remora, &stop))).collect();
        let _stop = Finally(&stop);
        let mut client = remora.client();
        assert_eq!(client.must("GET common").text(), "old");
        master.restart();
        fill(&master, "new", 150_000);
        wait::until("the new data is there", Duration::from_secs(60), || client.must("GET common").text_is("new"));
        remora.wait_caught_up(&mut master.client());
        // DEBUG DIGEST, which walks everything, comes when nobody reads any more.
        stop.store(true, Ordering::Relaxed);
        let seen = readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>();
        (seen, machine.join().expect("the clock"))
    });

    assert_same_digest(&master, &remora);
    eprintln!("{seen:?}");
    for reader in seen {
        assert!(reader.errors.is_empty(), "errors: {:?}", &reader.errors[..reader.errors.len().min(5)]);
        assert!(
            reader.longest <= Duration::from_millis(50) + 2 * pause,
            "the longest gap between answers: {:?}; the machine itself paused for {pause:?}",
            reader.longest
        );
        assert!(reader.replies > 1000, "{} replies", reader.replies);
    }
}

#[test]
fn without_its_master_remora_answers_with_what_it_has_or_refuses_as_it_is_told() {
    let Some(mut master) = Real::start("redis-8.0", &[]) else { return };
    master.client().must("SET k v");
    let serving = Remora::follow(master.port, &[]);
    let refusing = Remora::follow(master.port, &["--replica-serve-stale-data", "no"]);
    serving.wait_linked();
    refusing.wait_linked();
    master.kill();
    wait::until("the loss is noticed", Duration::from_secs(30), || {
        refusing.replication("master_link_status") == "down" && serving.replication("master_link_status") == "down"
    });
    assert_eq!(serving.client().must("GET k").text(), "v");
    let mut client = refusing.client();
    for line in ["GET k", "DBSIZE", "PING", "SCAN 0"] {
        let refusal = client.call(line).text();
        assert!(refusal.starts_with("MASTERDOWN"), "{line}: {refusal}");
    }
    assert!(client.call("SET k w").text().starts_with("READONLY"));
    for line in ["INFO", "ROLE", "SELECT 1", "ECHO x", "CONFIG GET port"] {
        assert!(!client.call(line).is_error(), "{line}");
    }
}
