//! What a master's answer to `INFO replication` says of how far we are behind it.
//!
//! Comes in: the text, and when it was asked for. Goes out: a sample, or why there is none. Whom we follow may be a
//! replica: another remora says in `INFO remora` how old its own data are, and its age is added to ours; real replicas
//! say only whether their link is down.

use crate::position::{Offset, ReplId};
use crate::status::{LagSample, Source};
use std::time::{Duration, Instant};

/// What is asked. `INFO remora` goes first where whom we follow is a replica: what it says of its age then belongs to the
/// offset of the other answer or to one before it, so that the sum is never too small. Real servers answer nothing.
pub const OF_MASTERS: &[&[&[u8]]] = &[&[b"INFO", b"replication"]];
/// The same of replicas.
pub const OF_REPLICAS: &[&[&[u8]]] = &[&[b"INFO", b"remora"], &[b"INFO", b"replication"]];

/// Why an error reply to AUTH or INFO came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It will come again to each question: a right or a password is missing, or there is no INFO.
    Refused(String),
    /// It may be gone at the next question (LOADING, BUSY).
    Later(String),
}

impl NoAnswer {
    /// By the text of an error reply, without `-`.
    pub fn of(error: &str) -> Self {
        let kinds = ["NOPERM", "NOAUTH", "WRONGPASS", "ERR unknown command", "ERR invalid password", "ERR AUTH"];
        if kinds.iter().any(|kind| error.starts_with(kind)) {
            return Self::Refused(error.to_owned());
        }
        Self::Later(error.to_owned())
    }
}

/// Is whom we follow a replica itself?
pub fn is_replica(replication: &str) -> bool {
    field(replication, "role").is_some_and(|role| role != "master")
}

/// The sample of an answer to what was asked at `asked`. An error says what is missing in it.
pub fn sample(replication: &str, remora: Option<&str>, asked: Instant) -> Result<LagSample, String> {
    let missing = |name: &str| format!("INFO replication of the master has no {name}");
    let history = field(replication, "master_replid").and_then(|id| ReplId::parse(id.as_bytes()));
    let history = history.ok_or_else(|| missing("master_replid"))?;
    let offset = number(replication, "master_repl_offset").and_then(|offset| u64::try_from(offset).ok());
    let offset = Offset(offset.ok_or_else(|| missing("master_repl_offset"))?);
    let (age, source) = match (is_replica(replication), remora) {
        (false, _) => (Some(Duration::ZERO), Source::Probe),
        (true, Some(remora)) if field(remora, "remora_staleness_ms").is_some() => age_of_remora(remora),
        (true, _) => (age_of_replica(replication), Source::Upstream),
    };
    let behind = remora.and_then(|remora| number(remora, "remora_lag_bytes"));
    let behind_bytes = behind.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let at = age.and_then(|age| asked.checked_sub(age));
    Ok(LagSample { at, history, offset, behind_bytes, source })
}

/// The age that another remora says, as good as it knows it.
fn age_of_remora(remora: &str) -> (Option<Duration>, Source) {
    let source = field(remora, "remora_staleness_source").and_then(Source::parse).unwrap_or_default();
    let age = number(remora, "remora_staleness_ms").and_then(|ms| u64::try_from(ms).ok());
    (age.map(Duration::from_millis), source)
}

/// A real replica knows only for how long its link has been down.
fn age_of_replica(replication: &str) -> Option<Duration> {
    if field(replication, "master_link_status") == Some("up") {
        return Some(Duration::ZERO);
    }
    let down = number(replication, "master_link_down_since_seconds")?;
    u64::try_from(down).ok().map(|seconds| Duration::from_secs(seconds.saturating_add(1)))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn number(text: &str, name: &str) -> Option<i64> {
    field(text, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    /// The age of what was asked now, milliseconds.
    fn seen(replication: &str, remora: Option<&str>) -> Result<(Option<u128>, u64, u64, Source), String> {
        let asked = clock::instant();
        let sample = sample(replication, remora, asked)?;
        assert_eq!(sample.history.as_str(), ID);
        let age = sample.at.map(|at| (asked - at).as_millis());
        Ok((age, sample.offset.0, sample.behind_bytes, sample.source))
    }

    fn replica(link: &str) -> String {
        format!("# Replication\r\nrole:slave\r\n{link}\r\nmaster_replid:{ID}\r\nmaster_repl_offset:70\r\n")
    }

    #[test]
    fn a_master_says_where_it_stands() {
        let text = format!("# Replication\r\nrole:master\r\nmaster_replid:{ID}\r\nmaster_repl_offset:1124\r\n");
        assert_eq!(seen(&text, None), Ok((Some(0), 1124, 0, Source::Probe)));
        assert!(!is_replica(&text) && is_replica(&replica("")) && !is_replica("nonsense"));
    }

    #[test]
    fn a_remora_adds_its_own_age() {
        let up = replica("master_link_status:up");
        let remora = |age: &str, source: &str| {
            format!(
                "# Remora\r\nremora_staleness_ms:{age}\r\nremora_staleness_source:{source}\r\nremora_lag_bytes:9\r\n"
            )
        };
        let check = |age: &str, source: &str, expected: (Option<u128>, Source)| {
            assert_eq!(seen(&up, Some(&remora(age, source))), Ok((expected.0, 70, 9, expected.1)));
        };
        check("1500", "probe", (Some(1500), Source::Probe));
        check("40", "last-io", (Some(40), Source::LastIo));
        check("-1", "unknown", (None, Source::Unknown));
    }

    #[test]
    fn a_real_replica_says_only_that_its_link_is_down() {
        let check = |link: &str, expected: Option<u128>| {
            assert_eq!(seen(&replica(link), Some("")), Ok((expected, 70, 0, Source::Upstream)), "{link}");
        };
        check("master_link_status:up", Some(0));
        check("master_link_status:down\r\nmaster_link_down_since_seconds:7", Some(8000));
        check("master_link_status:down\r\nmaster_link_down_since_seconds:-1", None);
        check("", None);
    }

    #[test]
    fn what_says_nothing_is_told() {
        for text in ["", "role:master", "master_replid:xyz\r\nmaster_repl_offset:1"] {
            assert_eq!(seen(text, None), Err("INFO replication of the master has no master_replid".to_owned()));
        }
        let text = format!("master_replid:{ID}\r\nmaster_repl_offset:-1\r\n");
        assert_eq!(seen(&text, None), Err("INFO replication of the master has no master_repl_offset".to_owned()));
    }

    #[test]
    fn an_error_is_for_good_or_for_now() {
        let check = |error: &str, refused: bool| {
            let text = error.to_owned();
            let expected = if refused { NoAnswer::Refused(text) } else { NoAnswer::Later(text) };
            assert_eq!(NoAnswer::of(error), expected);
        };
        check("NOPERM User repl has no permissions to run the 'info' command", true);
        check("NOPERM this user has no permissions to run the 'info' command or its subcommand", true);
        check("NOAUTH Authentication required.", true);
        check("WRONGPASS invalid username-password pair or user is disabled.", true);
        check("ERR unknown command 'INFO', with args beginning with: 'replication' ", true);
        check("ERR max number of clients reached", false);
        check("BUSY Redis is busy running a script.", false);
        check("LOADING Redis is loading the dataset in memory", false);
    }
}
