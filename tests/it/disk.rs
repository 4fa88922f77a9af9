//! `dir` when the disk does not do as it should: full, not to be written, gone, with something else in the file's place.
//! Each is told in log, INFO and metrics; what was saved before stays; reads go on. And how fast a save may write.

use crate::support::chance;
use crate::support::client::Client;
use crate::support::compare::assert_same_digest;
use crate::support::folder;
use crate::support::follower::Follower;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON, limited};
use crate::support::wait;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `ulimit -f` counts blocks of 512 bytes, or of 1024 in some shells.
const LIMIT_BLOCKS: &str = "-f 400";

fn file(dir: &Path) -> PathBuf {
    dir.join("remora.rdb")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

/// A master with so many values that nothing compresses.
fn master(values: usize, bytes: usize) -> Option<Real> {
    let master = Real::start("redis-8.0", &["--repl-backlog-size 64mb"])?;
    write(&mut master.client(), values, bytes);
    Some(master)
}

fn write(client: &mut Client, values: usize, bytes: usize) {
    let mut rng = chance::seeded("disk");
    let mut value = || (0..bytes).map(|_| rng.u8(..)).collect::<Vec<u8>>();
    let requests: Vec<Vec<Vec<u8>>> =
        (0..values).map(|n| vec![b"SET".to_vec(), format!("key:{n}").into_bytes(), value()]).collect();
    client.pipeline(&requests);
}

fn persistence(remora: &Remora, field: &str) -> String {
    remora.client().info("persistence").get(field).cloned().unwrap_or_default()
}

fn saves(remora: &Remora, result: &str) -> f64 {
    remora.metric_or_zero(&format!("remora_saves_total{{result=\"{result}\"}}"))
}

/// Asks for a save and waits for its end.
#[track_caller]
fn save(remora: &Remora, result: &str) {
    let before = saves(remora, result);
    assert!(!remora.client().call("BGSAVE").is_error());
    wait::until(&format!("a save ends: {result}"), SOON, || saves(remora, result) > before);
    let status = if result == "ok" { "ok" } else { "err" };
    assert_eq!(persistence(remora, "rdb_last_bgsave_status"), status);
    assert_eq!(persistence(remora, "rdb_bgsave_in_progress"), "0");
}

/// A save fails, for this reason, and nothing else happens.
#[track_caller]
fn check_fails(master: &Real, remora: &Remora, why: &str) {
    save(remora, "failed");
    remora.wait_logged(&["not saved; what was saved before stays as it is", why]);
    assert!(!remora.client().call("GET key:1").is_error(), "reads go on");
    master.client().must("SET key:1 changed");
    assert_same_digest(master, remora);
}

#[test]
fn a_full_disk_leaves_the_last_file_and_the_next_save_is_tried() {
    let Some(master) = master(1_000, 50) else { return };
    let dir = folder::temporary();
    let flags = ["--replicaof", &format!("127.0.0.1 {}", master.port), "--dir", text(dir.path())];
    let remora = Remora::start_as(limited(LIMIT_BLOCKS), &[&flags[..], &["--loglevel", "notice"]].concat());
    remora.wait_linked();
    save(&remora, "ok");
    let before = fs::read(file(dir.path())).expect("the file");
    write(&mut master.client(), 20_000, 50);
    remora.wait_caught_up(&mut master.client());
    check_fails(&master, &remora, "File too large");
    assert_eq!(fs::read(file(dir.path())).expect("the file"), before);
    assert!(
        !dir.path().join("remora.rdb.unfinished").exists(),
        "what was begun is gone, and with it what it took"
    );
    // There is room again.
    master.client().must("FLUSHALL");
    write(&mut master.client(), 1_000, 50);
    remora.wait_caught_up(&mut master.client());
    save(&remora, "ok");
    assert!(fs::read(file(dir.path())).expect("the file") != before);
    // The end does not hang on it, and another run starts from the last good one.
    write(&mut master.client(), 20_000, 50);
    remora.wait_caught_up(&mut master.client());
    end(remora, "File too large");
    let remora = Remora::follow(master.port, &["--dir", text(dir.path())]);
    assert_same_digest(&master, &remora);
    assert_eq!(persistence(&remora, "remora_restore_status"), "ok");
    assert_eq!(remora.metric("remora_partial_syncs_total"), 1.0);
}

fn end(mut remora: Remora, why: &str) {
    remora.signal("TERM");
    let status = wait::until_some("remora ends", SOON, || remora.ended());
    assert_eq!(status.code(), Some(0));
    assert!(remora.log().contains(why), "{}", remora.log());
}

#[test]
fn a_full_disk_refuses_old_sub_replicas_alone() {
    let Some(master) = master(20_000, 50) else { return };
    let dir = folder::temporary();
    let flags = ["--replicaof", &format!("127.0.0.1 {}", master.port), "--dir", text(dir.path())];
    let more = ["--loglevel", "notice", "--repl-diskless-sync-delay", "0"];
    let remora = Remora::start_as(limited(LIMIT_BLOCKS), &[&flags[..], &more].concat());
    remora.wait_linked();
    // It has to be told the length first, so its snapshot has to lie somewhere.
    let mut old = Follower::introduced_as(remora.port, &["REPLCONF capa psync2"]);
    old.say("PSYNC ? -1");
    remora.wait_logged(&["sub-replica is cut", "writing into a file in dir", "File too large"]);
    assert_eq!(remora.metric("remora_subreplica_cuts_total{reason=\"snapshot\"}"), 1.0);
    let synced = Follower::introduced(remora.port).full_sync();
    assert!(synced.by_mark && synced.snapshot.len() > 1_000_000);
    assert!(!remora.client().call("GET key:1").is_error(), "reads go on");
}

/// Whoever runs this: not even root may make a file there.
#[test]
fn a_folder_that_is_not_to_be_written_is_told() {
    let Some(master) = master(100, 50) else { return };
    let remora = Remora::follow(master.port, &["--dir", "/proc"]);
    remora.wait_linked();
    check_fails(&master, &remora, "dir=/proc");
    remora.wait_logged(&["no snapshot of our own to start from"]);
    end(remora, "not saved");
}

#[test]
fn a_folder_that_is_not_there_is_told_at_the_start() {
    let output = crate::support::remora::program()
        .args(["--replicaof", "127.0.0.1 1", "--dir", "/nowhere/at/all"])
        .output()
        .expect("remora");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success() && said.contains("dir /nowhere/at/all: No such file"), "{said}");
}

#[test]
fn a_folder_that_vanishes_is_told_and_used_again_once_it_is_back() {
    let Some(master) = master(1_000, 100) else { return };
    let outer = folder::temporary();
    let dir = outer.path().join("inner");
    fs::create_dir(&dir).expect("a folder");
    let remora = Remora::follow(master.port, &["--dir", text(&dir), "--save-max-bytes-per-second", "50kb"]);
    remora.wait_linked();
    // In the middle of a save, which then has nowhere to put its file ...
    remora.client().must("BGSAVE");
    let unfinished = dir.join("remora.rdb.unfinished");
    wait::until("the save has begun to write", SOON, || fs::metadata(&unfinished).is_ok_and(|m| m.len() > 0));
    fs::remove_dir_all(&dir).expect("removing");
    wait::until("the save fails", SOON, || saves(&remora, "failed") == 1.0);
    // ... and before one.
    check_fails(&master, &remora, "No such file");
    fs::create_dir(&dir).expect("a folder");
    remora.client().must("CONFIG SET save-max-bytes-per-second 0");
    save(&remora, "ok");
    assert!(file(&dir).exists());
}

#[test]
fn a_folder_in_the_place_of_the_file_is_told_and_left_alone() {
    let Some(master) = master(100, 50) else { return };
    let dir = folder::temporary();
    fs::create_dir(file(dir.path())).expect("a folder");
    fs::write(file(dir.path()).join("precious"), "data").expect("a file");
    let remora = Remora::follow(master.port, &["--dir", text(dir.path())]);
    remora.wait_linked();
    remora.wait_logged(&["our own snapshot is not used", "Is a directory"]);
    assert_eq!(persistence(&remora, "remora_restore_status"), "err");
    assert_eq!(remora.metric("remora_restores_total{result=\"refused\"}"), 1.0);
    check_fails(&master, &remora, "Is a directory");
    assert!(file(dir.path()).join("precious").exists());
}

#[test]
fn a_torn_file_is_told_and_replaced_by_the_next_save() {
    let Some(master) = master(1_000, 50) else { return };
    let dir = folder::temporary();
    let flags = ["--dir", text(dir.path())];
    let remora = Remora::follow(master.port, &flags);
    remora.wait_linked();
    save(&remora, "ok");
    remora.signal("KILL");
    drop(remora);
    let whole = fs::read(file(dir.path())).expect("the file");
    for length in [0, 5, whole.len() / 3, whole.len() - 1] {
        fs::write(file(dir.path()), &whole[..length]).expect("tearing");
        let remora = Remora::follow(master.port, &flags);
        remora.wait_linked();
        remora.wait_logged(&["our own snapshot is not used", "too early"]);
        assert_same_digest(&master, &remora);
        assert_eq!(remora.metric("remora_restores_total{result=\"refused\"}"), 1.0);
        assert_eq!(remora.metric("remora_full_syncs_total"), 1.0);
        assert_eq!(fs::read(file(dir.path())).expect("the file").len(), length, "left as it was");
        save(&remora, "ok");
        assert!(fs::read(file(dir.path())).expect("the file").len() >= whole.len() - 100);
        remora.signal("KILL");
    }
}

/// Never more than the rate allows, at any moment of the save: what is there is read before the time is.
#[test]
fn a_save_keeps_its_rate_all_through() {
    const RATE: f64 = 400.0 * 1024.0;
    let Some(master) = master(6_000, 100) else { return };
    // Values that would fill a slice by a few.
    let mut client = master.client();
    for n in 0..10 {
        client.must(&format!("SETRANGE big:{n} 49999 x"));
        client.must(&format!("SETBIT big:{n} {} 1", n * 8));
    }
    let dir = folder::temporary();
    let remora = Remora::follow(master.port, &["--dir", text(dir.path()), "--save-max-bytes-per-second", "400kb"]);
    remora.wait_caught_up(&mut client);
    let unfinished = dir.path().join("remora.rdb.unfinished");
    let begun = Instant::now();
    remora.client().must("BGSAVE");
    let (mut looks, mut last) = (0, 0);
    wait::until("the save is done", SOON, || {
        let bytes = fs::metadata(&unfinished).map_or(last, |metadata| metadata.len());
        let allowed = begun.elapsed().as_secs_f64() * RATE;
        assert!(bytes as f64 <= allowed, "{bytes} bytes, where {allowed} are allowed");
        looks += usize::from(bytes > last);
        last = bytes.max(last);
        file(dir.path()).exists()
    });
    let (bytes, took) = (fs::metadata(file(dir.path())).expect("the file").len(), begun.elapsed());
    assert!(bytes > 600_000, "{bytes} bytes");
    assert!(bytes as f64 <= took.as_secs_f64() * RATE, "{bytes} bytes in {took:?}");
    assert!(looks > 3, "it grew evenly, seen {looks} times");
}
