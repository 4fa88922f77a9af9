//! Our own restart: with `dir`, the data of the last run and the rest of the stream are enough. What cannot be used is
//! told, and everything is asked for.

use crate::support::client::Client;
use crate::support::compare::assert_same_digest;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use crate::support::{chance, folder, ports};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

for_each_master!(a_restart_needs_the_rest_of_the_stream_only);

const FILE: &str = "remora.rdb";

/// How long a save of much may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// The folder that outlives the runs.
fn dir() -> (tempfile::TempDir, String) {
    let dir = folder::temporary();
    let path = dir.path().to_str().expect("a name in UTF-8").to_owned();
    (dir, path)
}

fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn follow(master: &Real, dir: &str, more: &[&str]) -> Remora {
    let remora = Remora::follow(master.port, &[&["--dir", dir], more].concat());
    remora.wait_linked();
    remora
}

/// Ends it as Kubernetes does, and waits.
fn end(mut remora: Remora) -> String {
    remora.signal("TERM");
    let status = wait::until_some("remora ends", SOON, || remora.ended());
    assert_eq!(status.code(), Some(0), "{}", remora.log());
    remora.log()
}

/// Full and partial syncs that the master counts.
fn syncs(master: &mut Client) -> (u64, u64) {
    let stats = master.info("stats");
    let number = |name: &str| stats[name].parse().expect("a number");
    (number("sync_full"), number("sync_partial_ok"))
}

/// The sample dataset, some more keys, several databases.
fn fill(master: &Real, from: u32) {
    let mut client = master.client();
    let sample = fs::read_to_string(folder::data("sample.txt")).expect("the sample");
    for line in sample.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        // Not every master knows every command.
        client.call(line);
    }
    for n in from..from + 2_000 {
        client.must(&format!("SET key:{n} value:{n} PX 100000000"));
        client.must(&format!("HSET hash:{} field:{n} {n}", n % 20));
    }
    client.must("SELECT 5");
    client.must(&format!("SET elsewhere {from}"));
    client.must("SELECT 0");
}

fn persistence(remora: &Remora, field: &str) -> String {
    remora.client().info("persistence").get(field).cloned().unwrap_or_default()
}

fn a_restart_needs_the_rest_of_the_stream_only(server: &str) {
    let Some(master) = Real::start(server, &["--repl-backlog-size 64mb"]) else { return };
    let (dir, path) = dir();
    fill(&master, 0);
    let remora = follow(&master, &path, &[]);
    fill(&master, 1_000);
    remora.wait_caught_up(&mut master.client());
    let log = end(remora);
    assert!(log.contains("saved"), "{log}");
    assert!(file(dir.path()).exists());
    assert_eq!(syncs(&mut master.client()), (1, 0));

    // While it is away the stream goes on, in the database that was selected and in another.
    fill(&master, 2_000);
    let remora = follow(&master, &path, &[]);
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut master.client()), (1, 1), "one partial resync and no further full one");
    assert_eq!(persistence(&remora, "remora_restore_status"), "ok");
    assert_eq!(remora.metric("remora_restores_total"), 1.0);
    assert_eq!(remora.client().must("GET key:3999").text(), "value:3999");

    // Nothing new: nothing to save, and the file still serves.
    let log = end(remora);
    assert!(log.contains("our own snapshot is in place"), "{log}");
    let remora = follow(&master, &path, &[]);
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut master.client()), (1, 2));
}

/// A master, and what a run has left in `dir`.
fn after_a_run() -> Option<(Real, tempfile::TempDir, String)> {
    let master = Real::start("redis-8.0", &["--repl-backlog-size 64mb"])?;
    let (dir, path) = dir();
    fill(&master, 0);
    let remora = follow(&master, &path, &[]);
    remora.wait_caught_up(&mut master.client());
    end(remora);
    Some((master, dir, path))
}

#[track_caller]
fn check_refused(master: &Real, path: &str, why: &str) {
    let remora = follow(master, path, &[]);
    remora.wait_logged(&["our own snapshot is not used", why]);
    assert_same_digest(master, &remora);
    assert_eq!(syncs(&mut master.client()), (2, 0), "everything is asked for");
    assert_eq!(persistence(&remora, "remora_restore_status"), "err");
    assert!(persistence(&remora, "remora_restore_error").contains(why));
    assert_eq!(remora.metric("remora_restores_total"), 1.0);
    // The next save puts a good one in its place.
    end(remora);
    let remora = follow(master, path, &[]);
    assert_eq!(persistence(&remora, "remora_restore_status"), "ok");
}

#[test]
fn a_damaged_file_is_told_and_not_used() {
    let Some((master, dir, path)) = after_a_run() else { return };
    let mut bytes = fs::read(file(dir.path())).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(file(dir.path()), bytes).expect("writing");
    check_refused(&master, &path, "snapshot byte");
}

#[test]
fn a_file_that_is_cut_is_told_and_not_used() {
    let Some((master, dir, path)) = after_a_run() else { return };
    let bytes = fs::read(file(dir.path())).expect("the file");
    fs::write(file(dir.path()), &bytes[..bytes.len() - 20]).expect("writing");
    check_refused(&master, &path, "the bytes end too early");
}

#[test]
fn a_snapshot_of_a_real_server_is_told_and_not_used() {
    let Some((master, dir, path)) = after_a_run() else { return };
    fs::copy(folder::data("redis-8.0.rdb"), file(dir.path())).expect("copying");
    check_refused(&master, &path, "not written by this version of remora");
}

#[test]
fn a_file_of_another_master_leads_to_a_full_sync() {
    let Some((_, _dir, path)) = after_a_run() else { return };
    let Some(other) = Real::start("valkey-9.1", &[]) else { return };
    other.client().must("SET only here");
    let remora = follow(&other, &path, &[]);
    assert_same_digest(&other, &remora);
    assert_eq!(syncs(&mut other.client()), (1, 0));
}

#[test]
fn a_kill_in_the_middle_of_a_save_leaves_the_last_file_as_it_was() {
    let Some((master, dir, path)) = after_a_run() else { return };
    let before = fs::read(file(dir.path())).expect("the file");
    let remora = follow(&master, &path, &["--save-max-bytes-per-second", "50kb"]);
    fill(&master, 4_000);
    remora.wait_caught_up(&mut master.client());
    assert_eq!(remora.client().must("BGSAVE").text(), "Background saving started");
    let unfinished = dir.path().join("remora.rdb.unfinished");
    wait::until("the save has begun to write", SOON, || fs::metadata(&unfinished).is_ok_and(|m| m.len() > 50_000));
    assert_eq!(persistence(&remora, "rdb_bgsave_in_progress"), "1");
    assert_eq!(remora.client().call("BGSAVE").text(), "ERR Background save already in progress");
    remora.signal("KILL");
    drop(remora);
    assert!(unfinished.exists() && fs::read(file(dir.path())).expect("the file") == before);

    let remora = follow(&master, &path, &[]);
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut master.client()), (1, 2), "resumed twice");
    assert!(!unfinished.exists());
}

#[test]
fn the_end_does_not_wait_for_a_slow_save_that_runs() {
    let Some((master, dir, path)) = after_a_run() else { return };
    let remora = follow(&master, &path, &["--save-max-bytes-per-second", "10kb"]);
    fill(&master, 4_000);
    remora.wait_caught_up(&mut master.client());
    remora.client().must("BGSAVE");
    let unfinished = dir.path().join("remora.rdb.unfinished");
    wait::until("the save has begun", SOON, || unfinished.exists());
    let log = end(remora);
    assert!(log.contains("the program ends") && log.contains("saved"), "{log}");
    let remora = follow(&master, &path, &[]);
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut master.client()), (1, 2));
}

#[test]
fn saves_by_themselves_are_of_one_moment_while_the_stream_goes_on() {
    let Some(master) = Real::start("valkey-9.1", &["--repl-backlog-size 64mb"]) else { return };
    let (dir, path) = dir();
    fill(&master, 0);
    let remora = follow(&master, &path, &["--save-max-bytes-per-second", "300kb"]);
    remora.client().must("CONFIG SET save-interval 1");
    let mut client = master.client();
    let mut n = 0;
    wait::until("two saves beside the stream", SOON, || {
        for _ in 0..200 {
            n += 1;
            client.must(&format!("APPEND key:{} x{n}", n % 2_000));
            client.must(&format!("RPUSH list {n}"));
        }
        remora.metric_or_zero("remora_saves_total") >= 2.0
    });
    assert_ne!(persistence(&remora, "rdb_saves"), "0");
    assert_eq!(persistence(&remora, "rdb_last_bgsave_status"), "ok");
    remora.client().must("CONFIG SET save-interval 0");
    wait::until("no save runs", LONG, || persistence(&remora, "rdb_bgsave_in_progress") == "0");
    let last: i64 = remora.client().must("LASTSAVE").int();
    assert_eq!(persistence(&remora, "rdb_last_save_time"), last.to_string());
    // Killed: what came behind the last save comes again.
    remora.signal("KILL");
    drop(remora);
    assert!(file(dir.path()).exists());
    let remora = follow(&master, &path, &[]);
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut client), (1, 1));
}

#[test]
fn sub_replicas_need_the_rest_of_the_stream_only_too() {
    let Some(master) = Real::start("redis-8.0", &["--repl-backlog-size 64mb"]) else { return };
    let (_dir, path) = dir();
    fill(&master, 0);
    let port = ports::free();
    let flags = ["--port", &port.to_string()];
    let remora = follow(&master, &path, &flags);
    let Some(real) = Real::start("redis-8.0", &[&format!("--replicaof 127.0.0.1 {port}")]) else { return };
    let below = Remora::follow(port, &[]);
    below.wait_linked();
    let linked = || real.client().info("replication")["master_link_status"] == "up";
    wait::until("the real sub-replica is linked", SOON, linked);
    fill(&master, 1_000);
    remora.wait_caught_up(&mut master.client());
    end(remora);
    fill(&master, 3_000);

    let remora = follow(&master, &path, &flags);
    let offset = remora.wait_caught_up(&mut master.client());
    below.wait_caught_up(&mut master.client());
    let caught_up = || {
        let info = real.client().info("replication");
        info["master_link_status"] == "up" && info["slave_repl_offset"].parse::<i64>().is_ok_and(|at| at >= offset)
    };
    wait::until("the real sub-replica has caught up", SOON, caught_up);
    assert_same_digest(&master, &below);
    assert_eq!(real.client().digest(), master.client().digest());
    assert_eq!(syncs(&mut master.client()), (1, 1), "of the master, by us alone");
    assert_eq!(syncs(&mut remora.client()), (0, 2), "of this run, by both below");
}

/// The same with many keys: a million, or `REMORA_TEST_KEYS`.
#[test]
fn a_million_keys_are_resumed_with_here_and_below() {
    let Some(master) = Real::start("redis-8.0", &["--repl-backlog-size 64mb"]) else { return };
    let mut client = master.client();
    client.must(&format!("DEBUG POPULATE {} key 16", chance::size("REMORA_TEST_KEYS", 1_000_000)));
    let (_dir, path) = dir();
    let port = ports::free();
    let flags = ["--port", &port.to_string(), "--dir", &path, "--save-timeout", "110"];
    let mut remora = Remora::follow(master.port, &flags);
    remora.wait_caught_up(&mut client);
    let below = Remora::follow(port, &[]);
    below.wait_caught_up(&mut client);
    client.must("SET before 1");
    remora.wait_caught_up(&mut client);
    remora.signal("TERM");
    wait::until("remora saves and ends", LONG, || remora.ended().is_some());
    assert!(remora.log().contains("saved") && !remora.log().contains("not saved"), "{}", remora.log());
    client.must("SET meanwhile 1");

    let started = Instant::now();
    let remora = Remora::follow(master.port, &flags);
    remora.wait_caught_up(&mut client);
    eprintln!("loaded and resumed after {:?}", started.elapsed());
    below.wait_caught_up(&mut client);
    assert_eq!(below.metric("remora_full_syncs_total"), 1.0, "its first sync only");
    assert_eq!(below.metric("remora_partial_syncs_total"), 1.0, "+CONTINUE after our restart");
    client.must("SET after 1");
    assert_same_digest(&master, &below);
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut client), (1, 1), "of the master, by us alone");
    assert_eq!(syncs(&mut remora.client()), (0, 1), "of this run, by the one below");
}

#[test]
fn reads_answer_loading_and_the_master_waits_until_the_file_is_loaded() {
    let Some((master, dir, path)) = after_a_run() else { return };
    let bytes = fs::read(file(dir.path())).expect("the file");
    fs::remove_file(file(dir.path())).expect("removing");
    // A pipe gives the bytes when the test does.
    let made = Command::new("mkfifo").arg(file(dir.path())).status().expect("running mkfifo");
    assert!(made.success());
    let remora = Remora::follow(master.port, &["--dir", &path]);
    let mut pipe = fs::OpenOptions::new().write(true).open(file(dir.path())).expect("the pipe");
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    pipe.write_all(first).expect("writing");
    wait::until("the load has begun", SOON, || persistence(&remora, "remora_restore_status") == "loading");
    assert_eq!(persistence(&remora, "loading"), "1");
    assert!(remora.client().call("GET key:1").text_starts("LOADING"));
    assert!(remora.client().call("BGSAVE").text_starts("LOADING"));
    assert_eq!(master.client().info("replication")["connected_slaves"], "0");
    pipe.write_all(rest).expect("writing");
    drop(pipe);
    remora.wait_linked();
    assert_same_digest(&master, &remora);
    assert_eq!(syncs(&mut master.client()), (1, 1));
}

#[test]
fn the_end_does_not_wait_for_a_file_that_is_being_loaded() {
    let Some((master, dir, path)) = after_a_run() else { return };
    let bytes = fs::read(file(dir.path())).expect("the file");
    fs::remove_file(file(dir.path())).expect("removing");
    let made = Command::new("mkfifo").arg(file(dir.path())).status().expect("running mkfifo");
    assert!(made.success());
    let remora = Remora::follow(master.port, &["--dir", &path]);
    let mut pipe = fs::OpenOptions::new().write(true).open(file(dir.path())).expect("the pipe");
    pipe.write_all(&bytes[..bytes.len() / 2]).expect("writing");
    wait::until("the load has begun", SOON, || persistence(&remora, "remora_restore_status") == "loading");
    let log = end(remora);
    assert!(log.contains("nothing to save"), "{log}");
    let kind = fs::metadata(file(dir.path())).expect("the pipe").file_type();
    assert!(!kind.is_file(), "what was there is left alone");
}

#[test]
fn without_a_folder_nothing_is_kept() {
    let Some(master) = Real::start("redis-7.0", &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    assert!(remora.client().call("BGSAVE").text_starts("ERR nothing is saved"));
    let folder = remora.folder();
    let names = || fs::read_dir(&folder).expect("its folder").map(|f| f.expect("a file").file_name());
    assert!(names().all(|name| name == "log"), "{:?}", names().collect::<Vec<_>>());
}
