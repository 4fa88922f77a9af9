//! Asks Sentinels who the master is, and follows what they say: the setting `sentinel "name" host:port ...`.
//!
//! One Sentinel at a time is asked for the address and listened to for `+switch-master`; when it fails the next one is.
//! Goes out: the master that the link is to follow. An answer with an older configuration epoch than the last one is
//! that of a Sentinel which was cut off: it is not believed and the next one is asked, unless all that answer say the
//! same. Then they have been set up anew (SENTINEL REMOVE and MONITOR begin at epoch 0).

use super::wire::Wire;
use super::{LinkError, connect};
use crate::config::{Address, Config, LiveConfig, Master, Sentinels};
use crate::tls::Tls;
use bytes::Bytes;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

/// How often a Sentinel is asked again: an event may get lost.
const ASK_INTERVAL: Duration = Duration::from_secs(2);
/// A Sentinel that does not answer within this time is passed over.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before the next Sentinel is tried.
const NEXT_AFTER: Duration = Duration::from_millis(500);
/// So often all of them are asked before an older epoch is believed that all who answer agree on.
const ROUNDS_OF_DOUBT: usize = 3;
/// Most values of one answer: SENTINEL MASTER has some fifty.
const VALUES_MAX: usize = 256;

/// What a Sentinel knows of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    host: String,
    port: u16,
    epoch: u64,
}

/// What is believed of the answers.
struct Belief {
    /// The newest configuration that was believed.
    epoch: u64,
    /// What each Sentinel said last, where it was not believed.
    doubts: Vec<Option<Known>>,
    /// Which of them is being asked.
    asking: usize,
    /// Sentinels that were asked since one was believed.
    in_vain: usize,
}

impl Belief {
    fn new(sentinels: usize) -> Self {
        Self { epoch: 0, doubts: vec![None; sentinels], asking: 0, in_vain: 0 }
    }

    /// Is this answer of the one being asked to be followed?
    fn accepts(&mut self, known: &Known) -> bool {
        if known.epoch < self.epoch {
            self.doubts[self.asking] = Some(known.clone());
            let long = self.in_vain + 1 >= ROUNDS_OF_DOUBT * self.doubts.len();
            if !long || self.doubts.iter().flatten().any(|other| other != known) {
                return false;
            }
            let (epoch, before) = (known.epoch, self.epoch);
            tracing::warn!(epoch, before, "all Sentinels that answer have begun anew: they are believed");
        }
        self.epoch = known.epoch;
        self.doubts.fill(None);
        self.in_vain = 0;
        true
    }

    /// The one being asked has failed or was not believed.
    fn failed(&mut self, error: &LinkError, name: &str, last: Option<&Known>) {
        self.in_vain += 1;
        match self.doubts[self.asking].as_ref() {
            Some(doubted) if last != Some(doubted) => tracing::warn!(%error, name, "a Sentinel is not believed"),
            None if self.in_vain == self.doubts.len() => {
                tracing::warn!(%error, name, "no Sentinel answers: staying with the present master");
            }
            _ => tracing::debug!(%error, name, "a Sentinel does not answer, or is not believed"),
        }
    }
}

/// Keeps `master` at what the Sentinels of the settings say until it is dropped; does nothing if there are none.
/// With `tls-replication` they are spoken to over TLS too, as Sentinels then speak among themselves.
pub async fn watch_sentinels(config: Arc<LiveConfig>, tls: &Tls, master: &watch::Sender<Master>) {
    let settings = config.get();
    let Some(sentinels) = &settings.sentinel else { return std::future::pending().await };
    let mut belief = Belief::new(sentinels.addresses.len());
    for (asking, (host, port)) in sentinels.addresses.iter().enumerate().cycle() {
        belief.asking = asking;
        let last = belief.doubts[asking].take();
        let Err(error) = listen((&settings, tls), sentinels, (host, *port), master, &mut belief).await;
        belief.failed(&error, &sentinels.name, last.as_ref());
        tokio::time::sleep(NEXT_AFTER).await;
    }
}

/// Asks one Sentinel now and then and at each switch, until it fails.
async fn listen(
    how: (&Config, &Tls),
    sentinels: &Sentinels,
    (host, port): (&str, u16),
    master: &watch::Sender<Master>,
    belief: &mut Belief,
) -> Result<Infallible, LinkError> {
    let (mut asked, mut events) = (open(how, host, port).await?, open(how, host, port).await?);
    events.command(&[b"SUBSCRIBE", b"+switch-master"]).await?;
    values(&mut events).await?;
    tracing::info!(host, port, name = sentinels.name, "a Sentinel answers");
    let mut tick = interval_at(Instant::now(), ASK_INTERVAL);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            heard = events.read() => {
                heard?;
                // Whatever it was about, the answer to a question says more.
                drop(events.take_unread());
            }
        }
        let known = ask(&mut asked, &sentinels.name).await?;
        if !belief.accepts(&known) {
            let (host, port, epoch, newest) = (&known.host, known.port, known.epoch, belief.epoch);
            return Err(unexpected(&format!("{host}:{port} of epoch {epoch}, which is before {newest}")));
        }
        follow(known, master);
    }
}

async fn open((settings, tls): (&Config, &Tls), host: &str, port: u16) -> Result<Wire, LinkError> {
    let io = connect::connect(&Master::tcp(host, port), settings, tls).await?;
    let mut wire = Wire::new(io, PATIENCE);
    if let Some(password) = &settings.sentinel_auth_pass {
        wire.command(&[b"AUTH", password.reveal()]).await?;
        values(&mut wire).await?;
    }
    Ok(wire)
}

/// The address by the question that every client asks; the epoch from the fuller answer.
async fn ask(wire: &mut Wire, name: &str) -> Result<Known, LinkError> {
    wire.command(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name.as_bytes()]).await?;
    let address = values(wire).await?;
    let [host, port] = &address[..] else { return Err(unexpected("it does not know this master")) };
    let port = text(port).parse().map_err(|_| unexpected("a port that is no number"))?;
    Address::tcp(&text(host), port).map_err(|why| unexpected(&why))?;
    wire.command(&[b"SENTINEL", b"MASTER", name.as_bytes()]).await?;
    let fields = values(wire).await?;
    let epoch = fields.chunks_exact(2).find(|pair| &pair[0][..] == b"config-epoch");
    let epoch = epoch.and_then(|pair| text(&pair[1]).parse().ok()).unwrap_or(0);
    Ok(Known { host: text(host), port, epoch })
}

fn follow(known: Known, master: &watch::Sender<Master>) {
    let address = Address::Tcp { host: known.host, port: known.port };
    let moved = master.send_if_modified(|master| {
        let moves = master.address != address;
        if moves {
            master.address = address.clone();
        }
        moves
    });
    if moved {
        let (host, port) = (address.host(), address.port());
        tracing::info!(host, port, epoch = known.epoch, "the Sentinels name another master");
    }
}

/// A reply in RESP2 as a flat list: the elements of an array, or the one value. An error reply is an error.
async fn values(wire: &mut Wire) -> Result<Vec<Bytes>, LinkError> {
    let head = wire.line().await?;
    let Some(count) = head.strip_prefix(b"*") else { return Ok(vec![value(wire, head).await?]) };
    let count: i64 = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).unwrap_or(-1);
    let count = usize::try_from(count).unwrap_or(0);
    if count > VALUES_MAX {
        return Err(unexpected("an endless answer"));
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let head = wire.line().await?;
        values.push(value(wire, head).await?);
    }
    Ok(values)
}

async fn value(wire: &mut Wire, head: Bytes) -> Result<Bytes, LinkError> {
    match head.first() {
        Some(b'$') if head[..] == b"$-1"[..] => Ok(Bytes::new()),
        // No value of a Sentinel holds a line end.
        Some(b'$') => wire.line().await,
        Some(b'+' | b':') => Ok(head.slice(1..)),
        _ => Err(unexpected(&head.escape_ascii().to_string())),
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn unexpected(line: &str) -> LinkError {
    LinkError::Unexpected { step: "a Sentinel", line: line.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn read(bytes: &'static [u8]) -> Result<Vec<String>, String> {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        ours.write_all(bytes).await.expect("room");
        let mut wire = Wire::new(Box::new(theirs), Duration::from_millis(100));
        let values = values(&mut wire).await;
        values.map(|values| values.iter().map(text).collect()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn answers_are_read_as_flat_lists() {
        let check =
            |got: Result<Vec<String>, String>, expected: &[&str]| assert_eq!(got.expect("values"), expected);
        check(read(b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n").await, &["127.0.0.1", "6379"]);
        check(read(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n").await, &["subscribe", "x", "1"]);
        check(read(b"*-1\r\n").await, &[]);
        check(read(b"+OK\r\n").await, &["OK"]);
        assert!(read(b"-NOAUTH Authentication required.\r\n").await.expect_err("an error").contains("NOAUTH"));
        assert!(read(b"*1000000\r\n").await.expect_err("an error").contains("endless"));
    }

    #[test]
    fn an_older_epoch_is_believed_once_all_who_answer_agree() {
        let known = |port, epoch| Known { host: "h".into(), port, epoch };
        let failure = unexpected("x");
        let mut belief = Belief::new(2);
        let mut ask = |asking: usize, answer: Option<Known>| {
            belief.asking = asking;
            let last = belief.doubts[asking].take();
            let accepted = answer.is_some_and(|known| belief.accepts(&known));
            if !accepted {
                belief.failed(&failure, "main", last.as_ref());
            }
            accepted
        };
        assert!(ask(0, Some(known(1, 5))));
        assert!(ask(0, Some(known(1, 5))), "the same again");
        // One was cut off; the other knows better.
        assert!(!ask(0, Some(known(2, 4))));
        assert!(ask(1, Some(known(1, 5))));
        // Both are of before, and do not agree.
        for _ in 0..10 {
            assert!(!ask(0, Some(known(2, 0))) && !ask(1, Some(known(3, 0))));
        }
        assert!(ask(0, Some(known(1, 6))));
        // One has begun anew, the other does not answer.
        for _ in 0..ROUNDS_OF_DOUBT - 1 {
            assert!(!ask(0, Some(known(2, 0))) && !ask(1, None));
        }
        assert!(!ask(0, Some(known(2, 0))) && !ask(1, None));
        assert!(ask(0, Some(known(2, 0))));
        assert!(ask(0, Some(known(2, 1))), "and from there on");
    }

    #[test]
    fn only_another_address_moves_the_link() {
        let (master, mut seen) = watch::channel(Master::tcp("a", 1));
        let known = |host: &str, port| Known { host: host.into(), port, epoch: 1 };
        follow(known("a", 1), &master);
        assert!(!seen.has_changed().expect("a sender"));
        follow(known("b", 2), &master);
        assert!(seen.has_changed().expect("a sender"));
        assert_eq!(seen.borrow_and_update().to_string(), "b 2");
    }
}
