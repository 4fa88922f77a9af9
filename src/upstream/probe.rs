//! Asks the master now and then where it stands, over a second connection: what comes on the link is the stream alone, and
//! says when something was written no more exactly than by a ping each ten seconds.
//!
//! Goes out: samples for `status`. It runs beside the link and never changes anything for it. A master is connected to
//! only while the link stands or takes a snapshot, so that one that is gone is not tried twice as often. One that does not
//! let us ask is asked again after a while; until then the lag is only guessed, and INFO says so.

use super::handshake::authenticate;
use super::wire::Wire;
use super::{LinkError, connect};
use crate::clock;
use crate::config::{Config, LiveConfig, Master};
use crate::limits::PROBE_ANSWER_BYTES_MAX;
use crate::repl::probe::{self, NoAnswer};
use crate::repl::psync::Turned;
use crate::status::{LinkPhase, Probing, Status};
use crate::tls::Tls;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// A master that takes longer for an answer is connected to anew.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a connection that failed, unless the link moves before.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The same after a refusal: each of them is a line in the master's ACL LOG.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Why there is no answer.
enum Fault {
    Refused(String),
    Failed(String),
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Turned(Turned::Credentials(text)) => Self::Refused(text),
            LinkError::Silent => Self::Failed(format!("no answer within {} s", PATIENCE.as_secs())),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Asks the master that `masters` names until it is dropped. Settings are followed as they change.
pub async fn probe_master(
    config: Arc<LiveConfig>,
    tls: &Tls,
    status: &Status,
    mut masters: watch::Receiver<Master>,
) -> Infallible {
    let changed = Arc::new(Notify::new());
    let told = Arc::clone(&changed);
    config.on_change(move |_| told.notify_one());
    let mut goes_on = false;
    loop {
        let (master, settings) = (masters.borrow_and_update().clone(), config.get());
        let probe = Probe { master, settings, tls, status };
        goes_on = tokio::select! {
            never = probe.run(goes_on) => match never {},
            () = changed.notified() => true,
            moved = masters.changed() => match moved {
                Ok(()) => false,
                // Without a sender there will be no other.
                Err(_) => std::future::pending().await,
            },
        };
    }
}

/// One master, under the settings of one moment.
struct Probe<'a> {
    master: Master,
    settings: Arc<Config>,
    tls: &'a Tls,
    status: &'a Status,
}

impl Probe<'_> {
    /// `goes_on`: it is the master of before.
    async fn run(&self, goes_on: bool) -> Infallible {
        let freshness = &self.status.freshness;
        if self.settings.repl_lag_probe_interval_ms == 0 {
            freshness.set_probing(Probing::Off, goes_on);
            return std::future::pending().await;
        }
        freshness.set_probing(Probing::Asking, goes_on);
        loop {
            if !self.may_connect() {
                self.status.link.moved().await;
                continue;
            }
            let Err(fault) = self.ask_until_fault().await;
            let pause = self.note(fault);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.status.link.moved() => {}
            }
        }
    }

    fn may_connect(&self) -> bool {
        self.master.is_known() && matches!(self.status.link.phase(), LinkPhase::Sync | LinkPhase::Connected)
    }

    /// Tells of a fault: in the log if it is a refusal and not the one of before.
    fn note(&self, fault: Fault) -> Duration {
        let freshness = &self.status.freshness;
        match fault {
            Fault::Failed(why) => {
                tracing::debug!(error = why, "the master does not say where it stands");
                freshness.failed(why);
                AGAIN_AFTER
            }
            Fault::Refused(why) => {
                if freshness.error().as_ref() != Some(&why) {
                    tracing::warn!(
                        error = why,
                        "the master does not let us ask INFO, so how far the data are behind is not measured: the user \
                         needs +info"
                    );
                }
                freshness.set_probing(Probing::Refused(why), true);
                REFUSED_AGAIN_AFTER
            }
        }
    }

    async fn ask_until_fault(&self) -> Result<Infallible, Fault> {
        let (settings, freshness) = (&self.settings, &self.status.freshness);
        let io = connect::connect(&self.master, settings, self.tls).await?;
        let mut wire = Wire::new(io, PATIENCE);
        authenticate(&mut wire, &self.master, settings).await?;
        let mut tick = interval(Duration::from_millis(settings.repl_lag_probe_interval_ms));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut questions, mut asking) = (probe::OF_MASTERS, false);
        loop {
            tick.tick().await;
            let asked = clock::instant();
            let answers = ask(&mut wire, questions).await?;
            let [others @ .., replication] = &answers[..] else { continue };
            let sample = probe::sample(replication, others.first().map(String::as_str), asked);
            if !std::mem::replace(&mut asking, true) {
                // Maybe after a refusal.
                freshness.set_probing(Probing::Asking, true);
            }
            let first = questions == probe::OF_MASTERS;
            questions = if probe::is_replica(replication) { probe::OF_REPLICAS } else { probe::OF_MASTERS };
            if first && questions == probe::OF_REPLICAS {
                // What it did not say yet is asked at once.
                tick.reset_immediately();
                continue;
            }
            freshness.sampled(sample.map_err(Fault::Refused)?, &self.status.link);
        }
    }
}

/// Sends these commands together; answers the texts.
async fn ask(wire: &mut Wire, questions: &[&[&[u8]]]) -> Result<Vec<String>, Fault> {
    for question in questions {
        wire.command(question).await?;
    }
    let mut answers = Vec::with_capacity(questions.len());
    for _ in questions {
        answers.push(text(wire).await?);
    }
    Ok(answers)
}

/// A bulk string in RESP2.
async fn text(wire: &mut Wire) -> Result<String, Fault> {
    let head = wire.line().await?;
    let head = String::from_utf8_lossy(&head);
    if let Some(error) = head.strip_prefix('-') {
        return Err(match NoAnswer::of(error) {
            NoAnswer::Refused(why) => Fault::Refused(why),
            NoAnswer::Later(why) => Fault::Failed(why),
        });
    }
    let length = head.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
    let length = length.filter(|length| *length <= PROBE_ANSWER_BYTES_MAX);
    let length = length.ok_or_else(|| Fault::Failed(format!("unexpected answer to INFO: {head:.80}")))?;
    let bytes = wire.exactly(length + 2).await?;
    Ok(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn read(bytes: &[u8]) -> Result<String, String> {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        ours.write_all(bytes).await.expect("room");
        let mut wire = Wire::new(Box::new(theirs), Duration::from_millis(50));
        text(&mut wire).await.map_err(|fault| match fault {
            Fault::Refused(why) => format!("refused: {why}"),
            Fault::Failed(why) => why,
        })
    }

    #[tokio::test]
    async fn an_answer_is_one_bulk_string() {
        assert_eq!(read(b"$8\r\nrole:a\r\n\r\n").await, Ok("role:a\r\n".to_owned()));
        assert_eq!(read(b"$0\r\n\r\n").await, Ok(String::new()));
        for (bytes, why) in [
            (&b"-NOPERM no\r\n"[..], "refused: NOPERM no"),
            (b"-BUSY script\r\n", "BUSY script"),
            (b"$-1\r\n", "unexpected answer to INFO: $-1"),
            (b"$99999999999999\r\n", "unexpected answer to INFO: $99999999999999"),
            (b"+OK\r\n", "unexpected answer to INFO: +OK"),
            (b"$5\r\nab", "no answer within 5 s"),
        ] {
            assert_eq!(read(bytes).await, Err(why.to_owned()));
        }
    }
}
