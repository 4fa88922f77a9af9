//! A master with two replicas of it, a real one and remora, and connections that ask both the same.

use super::client::{Client, encode, words};
use super::real::Real;
use super::remora::Remora;
use super::wait;
use std::time::Duration;

/// The three of them.
#[derive(Debug)]
pub struct Beside {
    pub master: Real,
    pub replica: Real,
    pub remora: Remora,
}

impl Beside {
    /// Starts them, or `None` if this peer is not here. `real` and `ours` are further settings of the replicas.
    #[track_caller]
    pub fn start(server: &str, real: &[&str], ours: &[&str]) -> Option<Self> {
        let master = Real::start(server, &["--repl-ping-replica-period 1"])?;
        let followed = format!("--replicaof 127.0.0.1 {}", master.port);
        let settings: Vec<&str> = [followed.as_str()].into_iter().chain(real.iter().copied()).collect();
        let replica = Real::start(server, &settings)?;
        let remora = Remora::follow(master.port, ours);
        let beside = Self { master, replica, remora };
        beside.settle();
        Some(beside)
    }

    /// Waits until both replicas have all that the master wrote.
    #[track_caller]
    pub fn settle(&self) {
        let offset = self.remora.wait_caught_up(&mut self.master.client());
        let mut real = self.replica.client();
        wait::until("the real replica has caught up", Duration::from_secs(60), || {
            let info = real.info("replication");
            info["master_link_status"] == "up"
                && info["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= offset)
        });
    }

    /// A new connection to both, in RESP2 or RESP3.
    #[track_caller]
    pub fn twins(&self, resp3: bool) -> Twins {
        let connect = |port| if resp3 { Client::connect_resp3(port) } else { Client::connect(port) };
        Twins {
            real: connect(self.replica.port),
            ours: connect(self.remora.port),
            asked: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Runs a script on new connections: a line goes to both replicas, one that begins with `master:` to the master,
    /// which both then catch up with. Replies are compared as `seen` shows them. Answers what differs.
    #[track_caller]
    pub fn differences(&self, script: &str, resp3: bool, seen: impl Fn(&str, &[u8]) -> String) -> Vec<String> {
        let mut twins = self.twins(resp3);
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix("master:") {
                Some(line) => {
                    self.master.client().must(line);
                    self.settle();
                }
                None => twins.compare(line, &seen),
            }
        }
        twins.wrong
    }
}

/// The same connection to a real replica and to remora.
#[derive(Debug)]
pub struct Twins {
    pub real: Client,
    pub ours: Client,
    /// Lines asked so far, for the story of a difference.
    asked: Vec<String>,
    /// What differed.
    pub wrong: Vec<String>,
}

impl Twins {
    /// Asks both the same, and notes a difference between the replies as `seen` shows them.
    pub fn compare(&mut self, line: &str, seen: &impl Fn(&str, &[u8]) -> String) {
        let request = encode(&words(line));
        let ask = |client: &mut Client| {
            client.send_raw(&request);
            seen(line, &client.raw_reply())
        };
        let (expected, found) = (ask(&mut self.real), ask(&mut self.ours));
        self.asked.push(line.to_string());
        if expected != found {
            let story = self.asked.iter().rev().take(6).rev().cloned().collect::<Vec<_>>().join(" | ");
            self.wrong.push(format!("{story}\n  real   {expected}\n  remora {found}"));
        }
    }
}

/// A reply byte by byte, readable.
pub fn whole(_: &str, reply: &[u8]) -> String {
    reply.escape_ascii().to_string()
}
