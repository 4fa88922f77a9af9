//! Real Sentinels of Redis 8.0 and Valkey 9.1: they fail over while a writer writes, and remora ends equal to the new
//! master by a partial resync; listed among the replicas or following the Sentinels by itself.

use super::support::client::Client;
use super::support::real::Real;
use super::support::remora::{Remora, SOON, master_offset};
use super::support::{folder, ports, wait};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a promotion may take: down-after, one failover that fails, and another after twice its timeout.
const PROMOTION: Duration = Duration::from_secs(60);

/// A running Sentinel that watches one master under the name `main`.
struct Sentinel {
    port: u16,
    child: Child,
    dir: tempfile::TempDir,
}

impl Sentinel {
    /// One that never does nothing. After the machine has stood still for 2 s a Sentinel waits for 30 s (TILT): seen to
    /// hold up a promotion, and with a short down-after to forbid it for good, as the replicas have then been without
    /// their master for more than ten times that. It also looks for replicas each second, not each ten.
    fn start(server: &str, master: u16) -> Self {
        let (port, dir) = (ports::free(), folder::temporary());
        let path = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 5000\nsentinel failover-timeout main 10000\n",
            dir.path().display()
        );
        std::fs::write(&path, text).expect("the Sentinel's file");
        let child = Command::new(folder::peers().join(format!("{server}-server")))
            .arg(&path)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(dir.path().join("log")).expect("a log"))
            .spawn()
            .expect("starting the Sentinel");
        wait::until("the Sentinel answers", SOON, || {
            Client::try_connect(port).is_ok_and(|mut client| client.try_call("PING").is_ok())
        });
        let sentinel = Self { port, child, dir };
        sentinel.client().must("SENTINEL DEBUG tilt-trigger 600000 info-period 1000");
        sentinel
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Ports of the replicas that it lists.
    fn replicas(&self) -> Vec<i64> {
        let reply = self.client().must("SENTINEL REPLICAS main");
        let port = |fields: &super::support::client::Value| {
            let items = fields.items();
            let at = items.iter().position(|item| item.text_is("port")).expect("a port");
            items[at + 1].int()
        };
        reply.items().iter().map(port).collect()
    }

    /// Where it says that the master is.
    fn master(&self) -> u16 {
        let reply = self.client().must("SENTINEL GET-MASTER-ADDR-BY-NAME main");
        u16::try_from(reply.items()[1].int()).expect("a port")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("--- log of the Sentinel\n{log}");
        }
    }
}

/// A writer that goes on through errors until it is dropped.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let Ok(mut client) = Client::try_connect(port) else { return };
            for n in 0.. {
                let lines = [format!("SET key-{} {n}", n % 500), format!("RPUSH list {n}"), "INCR count".into()];
                if told.load(Ordering::Relaxed) || lines.iter().any(|line| client.try_call(line).is_err()) {
                    return;
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }

    /// One that goes where this Sentinel says that the master is, and asks again when a write fails.
    fn through(sentinel: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut n = 0;
            while !told.load(Ordering::Relaxed) {
                let Some(mut client) = master_of(sentinel) else {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                };
                loop {
                    n += 1;
                    let lines =
                        [format!("SET key-{} {n}", n % 500), format!("RPUSH list {n}"), "INCR count".into()];
                    let mut taken = |line: &String| client.try_call(line).is_ok_and(|said| !said.is_error());
                    if told.load(Ordering::Relaxed) || !lines.iter().all(&mut taken) {
                        break;
                    }
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

/// A connection to the master that a Sentinel names.
fn master_of(sentinel: u16) -> Option<Client> {
    let said = Client::try_connect(sentinel).ok()?.try_call("SENTINEL GET-MASTER-ADDR-BY-NAME main").ok()?;
    Client::try_connect(u16::try_from(said.items().get(1)?.int()).ok()?).ok()
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// Is the link to this master up? The Sentinel makes remora cut its clients when it sends it elsewhere, also the one that
/// asks here.
fn follows(remora: &Remora, master: u16) -> bool {
    let said = Client::try_connect(remora.port).and_then(|mut client| client.try_call("INFO replication"));
    let said = said.map(|said| said.text()).unwrap_or_default();
    let has = |line: &str| said.lines().any(|said| said == line);
    has(&format!("master_port:{master}")) && has("master_link_status:up")
}

/// The master dies under a writer, the Sentinel promotes the other replica, and remora goes with it.
fn goes_with_a_failover(server: &str, listed: bool) {
    // Who follows late finds all of what the second writer has written until then.
    let backlog = "--repl-backlog-size 67108864";
    let Some(mut master) = Real::start(server, &[backlog]) else { return };
    let followed = format!("--replicaof 127.0.0.1 {}", master.port);
    let Some(replica) = Real::start(server, &[&followed, backlog]) else { return };
    let sentinel = Sentinel::start(server, master.port);
    let remora = if listed {
        let conf = folder::temporary();
        let path = conf.path().join("remora.conf");
        // The priority is what real servers ship: a Sentinel that read it might choose remora, and promote nobody.
        let text = format!("# mine\nreplica-priority 10\nreplicaof 127.0.0.1 {}\n", master.port);
        std::fs::write(&path, text).expect("a file");
        let path = path.display().to_string();
        let remora = Remora::start(&[&path]);
        (remora, Some(conf))
    } else {
        let name = format!("main 127.0.0.1:{} 127.0.0.1:{}", ports::free(), sentinel.port);
        (Remora::start(&["--sentinel", &name]), None)
    };
    let (remora, conf) = remora;
    let writer = Writer::start(master.port);
    remora.wait_linked();
    let own = i64::from(remora.port);
    wait::until("the Sentinel lists the replicas", Duration::from_secs(60), || {
        let listed_now = sentinel.replicas();
        listed_now.contains(&i64::from(replica.port)) && (!listed || listed_now.contains(&own))
    });
    wait::until("enough is written", SOON, || master.client().must("DBSIZE").int() > 400);
    let resynced = remora.metric_or_zero("remora_partial_syncs_total");

    // A master that is killed amid a write may have told remora more than the replica that is then promoted: no partial
    // resync can undo that, here or with a real replica. So both are level when it dies.
    drop(writer);
    let offset = remora.wait_caught_up(&mut master.client());
    wait::until("the other replica has caught up", SOON, || {
        replica.client().info("replication")["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= offset)
    });
    master.kill();
    wait::until("the Sentinel has promoted the other replica", PROMOTION, || sentinel.master() == replica.port);
    let second = Writer::start(replica.port);
    wait::until("remora follows the new master", Duration::from_secs(60), || follows(&remora, replica.port));
    let before = master_offset(&mut replica.client());
    wait::until("the second writer writes", SOON, || master_offset(&mut replica.client()) > before + 10_000);
    drop(second);
    remora.wait_caught_up(&mut replica.client());
    assert_eq!(remora.client().digest(), replica.client().digest(), "{server}");
    assert!(remora.metric("remora_partial_syncs_total") > resynced, "{server}: a partial resync");
    assert_eq!(remora.metric("remora_full_syncs_total"), 1.0, "{server}: the first one only");
    assert_eq!(sentinel.master(), replica.port, "remora was not promoted");
    assert_eq!(sentinel.replicas().contains(&own), listed, "{server}: listed");
    if let Some(conf) = conf {
        let text = std::fs::read_to_string(conf.path().join("remora.conf")).expect("the file");
        let expected = format!("# mine\nreplica-priority 10\nreplicaof 127.0.0.1 {}\n", replica.port);
        assert_eq!(text, expected, "CONFIG REWRITE");
    }
}

#[test]
fn goes_with_a_failover_of_redis_when_listed() {
    goes_with_a_failover("redis-8.0", true);
}

#[test]
fn goes_with_a_failover_of_redis_by_asking_the_sentinels() {
    goes_with_a_failover("redis-8.0", false);
}

#[test]
fn goes_with_a_failover_of_valkey_when_listed() {
    goes_with_a_failover("valkey-9.1", true);
}

#[test]
fn goes_with_a_failover_of_valkey_by_asking_the_sentinels() {
    goes_with_a_failover("valkey-9.1", false);
}

#[test]
fn a_replica_that_is_not_announced_is_not_listed() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let sentinel = Sentinel::start("redis-8.0", master.port);
    let remora = Remora::follow(master.port, &["--replica-announced", "no"]);
    remora.wait_linked();
    assert_eq!(remora.replication("replica_announced"), "0");
    wait::until("the Sentinel talks to remora", SOON, || {
        remora.client().must("CLIENT LIST").text().contains("name=sentinel-")
    });
    wait::until("the Sentinel has read it", SOON, || !sentinel.replicas().contains(&i64::from(remora.port)));
}

/// The writer goes on over the death of the master, and a real server is below remora.
fn goes_with_a_failover_under_a_writer(server: &str) {
    let backlog = "--repl-backlog-size 67108864";
    let Some(mut master) = Real::start(server, &[backlog]) else { return };
    let Some(replica) = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", master.port), backlog]) else {
        return;
    };
    let sentinel = Sentinel::start(server, master.port);
    let flags = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "67108864"];
    let remora = Remora::follow(master.port, &flags);
    remora.wait_linked();
    let sub = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", remora.port)]).expect("here");
    wait::until("the sub-replica's link is up", SOON, || {
        sub.client().info("replication")["master_link_status"] == "up"
    });
    let own = i64::from(remora.port);
    wait::until("the Sentinel lists the replicas", Duration::from_secs(60), || {
        let listed = sentinel.replicas();
        listed.contains(&i64::from(replica.port)) && listed.contains(&own)
    });
    let writer = Writer::through(sentinel.port);
    wait::until("enough is written", SOON, || master.client().must("DBSIZE").int() > 400);
    master.kill();
    wait::until("remora's link is down", SOON, || remora.replication("master_link_status") == "down");
    let kept: i64 = remora.replication("slave_repl_offset").parse().expect("an offset");
    wait::until("the Sentinel has promoted the other replica", PROMOTION, || sentinel.master() == replica.port);
    wait::until("remora follows the new master", Duration::from_secs(60), || follows(&remora, replica.port));
    let mut client = replica.client();
    let before = master_offset(&mut client);
    wait::until("the writer writes there", SOON, || master_offset(&mut client) > before + 10_000);
    drop(writer);
    let end = remora.wait_caught_up(&mut client);
    wait::until("the sub-replica has caught up", Duration::from_secs(60), || {
        let info = sub.client().info("replication");
        info["master_link_status"] == "up" && info["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= end)
    });
    let digest = client.digest();
    assert_eq!(remora.client().digest(), digest, "{server}: remora");
    assert_eq!(sub.client().digest(), digest, "{server}: the server below remora");
    // Where remora had heard more of the dead master than the replica that was promoted, nothing can undo that.
    let common: i64 = client.info("replication")["second_repl_offset"].parse().expect("an offset");
    let partial = remora.metric("remora_full_syncs_total") == 1.0;
    assert_eq!(partial, kept < common, "{server}: remora had {kept}, the new history begins at {common}");
    assert_eq!(remora.client().info("stats")["sync_full"] == "1", partial, "{server}: the server below");
}

#[test]
fn goes_with_a_failover_of_redis_under_a_writer() {
    goes_with_a_failover_under_a_writer("redis-8.0");
}

#[test]
fn goes_with_a_failover_of_valkey_under_a_writer() {
    goes_with_a_failover_under_a_writer("valkey-9.1");
}

/// SENTINEL REMOVE and MONITOR begin at epoch 0 again: an answer that is older than the last one, and right.
#[test]
fn sentinels_that_are_set_up_anew_are_believed() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let Some(replica) = Real::start("redis-8.0", &[&format!("--replicaof 127.0.0.1 {}", master.port)]) else {
        return;
    };
    let Some(other) = Real::start("redis-8.0", &[]) else { return };
    let sentinel = Sentinel::start("redis-8.0", master.port);
    let name = format!("main 127.0.0.1:{} 127.0.0.1:{}", ports::free(), sentinel.port);
    let remora = Remora::start(&["--sentinel", &name]);
    remora.wait_linked();
    wait::until("the Sentinel lists the replica", Duration::from_secs(60), || !sentinel.replicas().is_empty());
    wait::until("it begins a failover", PROMOTION, || {
        !sentinel.client().call("SENTINEL FAILOVER main").is_error()
    });
    wait::until("remora follows the promoted replica", PROMOTION, || follows(&remora, replica.port));
    let mut client = sentinel.client();
    client.must("SENTINEL REMOVE main");
    client.must(&format!("SENTINEL MONITOR main 127.0.0.1 {} 1", other.port));
    wait::until("remora follows the other master", Duration::from_secs(60), || follows(&remora, other.port));
    remora.wait_logged(&["a Sentinel is not believed"]);
    remora.wait_logged(&["have begun anew"]);
}
