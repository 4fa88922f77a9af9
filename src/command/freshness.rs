//! How fresh the data are, for clients: WAITOFFSET waits for a point of the master's history, CLIENT STALENESS tells the
//! present lag. No real server has them.

use super::args::Args;
use super::context::{ReadCx, SessionCx};
use super::row::{Await, Keys, Row, Until, waiting_read};
use crate::clock;
use crate::number;
use crate::position::{Offset, Position, ReplId};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family. Waiting for fresher data must be possible where the present ones are too stale to be shown.
pub(super) static ROWS: &[Row] = &[waiting_read("waitoffset", 4, Keys::None, waitoffset).while_stale()];

/// `WAITOFFSET replid offset timeout-ms`: 1 once everything up to this offset of this history is applied, 0 if the time
/// passes before; a timeout of 0 is for ever. Another history is an error, also when it becomes another meanwhile.
fn waitoffset(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<Option<Await>, Refusal> {
    let history = ReplId::parse(args.require()?)
        .ok_or(Refusal::text("ERR a replication id is 40 hexadecimal characters: master_replid of INFO"))?;
    let offset = u64::try_from(args.integer()?).map_err(|_| Refusal::text("ERR offset is negative"))?;
    let timeout_ms = match number::parse_integer(args.require()?).map(u64::try_from) {
        Some(Ok(ms)) => ms,
        Some(Err(_)) => return Err(Refusal::text("ERR timeout is negative")),
        None => return Err(Refusal::text("ERR timeout is not an integer or out of range")),
    };
    let reached = is_reached(&cx.data.position, history, Offset(offset))?;
    if reached || !cx.may_wait {
        out.integer(reached.into());
        return Ok(None);
    }
    Ok(Some(Await {
        timeout_ms: Some(timeout_ms).filter(|ms| *ms > 0),
        until: Until::Reached(Offset(offset)),
        request: args.words().map(<[u8]>::to_vec).collect(),
    }))
}

/// Is this point behind us? An error if it is not on our way.
fn is_reached(here: &Position, history: ReplId, offset: Offset) -> Result<bool, Refusal> {
    // Between two datasets (`repl-diskless-load flush`) nothing is here, of no history.
    if here.replid == ReplId::ZERO || history == here.replid {
        return Ok(history == here.replid && offset <= here.offset);
    }
    let (ours, at) = (here.replid, here.offset);
    match here.second_offset.filter(|_| history == here.replid2) {
        // What was ours under the former id is ours under this one.
        Some(second) if offset < second => Ok(true),
        Some(second) => Err(Refusal::text(format!(
            "WRONGHISTORY history {history} went on here as {ours} behind offset {}: offset {offset} of it never came",
            second.0.saturating_sub(1)
        ))),
        None => Err(Refusal::text(format!(
            "WRONGHISTORY the data here are of history {ours} at offset {at}, not of {history}"
        ))),
    }
}

/// `CLIENT STALENESS`: where the data stand, and how old they may be.
pub(super) fn staleness(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (status, position) = (&cx.server.status, &cx.data.position);
    let lag = status.lag(clock::instant(), cx.now);
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let exceeded = status.stale(cx.server.config.get().replica_serve_stale_data);
    out.map(7);
    out.bulk("replid");
    out.bulk(position.replid.as_str());
    out.bulk("offset");
    out.integer(signed(position.offset.0));
    out.bulk("link");
    out.bulk(status.link.phase().as_str());
    out.bulk("staleness-ms");
    out.integer(lag.staleness_ms());
    out.bulk("source");
    out.bulk(lag.source.as_str());
    out.bulk("lag-bytes");
    out.integer(signed(lag.bytes));
    out.bulk("exceeded");
    out.bulk(exceeded.map_or("", |stale| stale.setting()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::command::testing::{Bench, Session as Harness};
    use crate::position::DbIndex;
    use crate::status::{LagLimits, LagSample, LinkPhase, Probing, Source};
    use std::time::Duration;

    fn id(c: char) -> String {
        c.to_string().repeat(40)
    }

    fn replid(c: char) -> ReplId {
        ReplId::parse(id(c).as_bytes()).expect("hex")
    }

    #[test]
    fn an_offset_is_reached_waited_for_or_of_another_history() {
        let mut bench = Bench::new();
        let first = Position::fresh(replid('a'), Offset(118), DbIndex(0));
        bench.data.position = Position { offset: Offset(168), ..first.continued_as(replid('b')) };
        let (a, b, c) = (id('a'), id('B'), id('c'));
        for (request, reply) in [
            (format!("{b} 0 0"), ":1".to_owned()),
            (format!("{b} 168 0"), ":1".to_owned()),
            (format!("{b} 169 0"), format!("waits None for [169] with [WAITOFFSET {b} 169 0]")),
            (format!("{b} 170 9"), format!("waits Some(9) for [170] with [WAITOFFSET {b} 170 9]")),
            (format!("{a} 118 0"), ":1".to_owned()),
            (
                format!("{a} 119 0"),
                format!(
                    "-WRONGHISTORY history {a} went on here as {} behind offset 118: offset 119 of it never came",
                    id('b')
                ),
            ),
            (
                format!("{c} 1 0"),
                format!("-WRONGHISTORY the data here are of history {} at offset 168, not of {c}", id('b')),
            ),
            (
                "abc 1 0".to_owned(),
                "-ERR a replication id is 40 hexadecimal characters: master_replid of INFO".to_owned(),
            ),
            (format!("{b} x 0"), "-ERR value is not an integer or out of range".to_owned()),
            (format!("{b} -1 0"), "-ERR offset is negative".to_owned()),
            (format!("{b} 1 -1"), "-ERR timeout is negative".to_owned()),
            (format!("{b} 1 1.5"), "-ERR timeout is not an integer or out of range".to_owned()),
            (format!("{b} 1"), "-ERR wrong number of arguments for 'waitoffset' command".to_owned()),
        ] {
            assert_eq!(bench.ask(&format!("WAITOFFSET {request}")), reply, "{request}");
        }
    }

    #[test]
    fn between_two_datasets_nothing_is_reached_and_nothing_is_wrong() {
        let bench = Bench::new();
        let a = id('a');
        let waits = format!("waits Some(5) for [0] with [WAITOFFSET {a} 0 5]");
        assert_eq!(bench.ask(&format!("WAITOFFSET {a} 0 5")), waits);
    }

    #[test]
    fn the_lag_is_told_as_a_map() {
        let mut client = Harness::new(&[]);
        let told = |client: &mut Harness| client.ask("CLIENT STALENESS").replace("\r\n", " ");
        let zeros = "0".repeat(40);
        assert_eq!(
            told(&mut client),
            format!(
                "*14 $6 replid $40 {zeros} $6 offset :0 $4 link $7 connect $12 staleness-ms :-1 $6 source $7 unknown $9 \
                 lag-bytes :0 $8 exceeded $0  "
            )
        );
        let status = client.server().status.clone();
        status.freshness.set_probing(Probing::Asking, false);
        status.set_position(&Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0)), false);
        status.link.set_phase(LinkPhase::Connected, UnixMs(1));
        status.set_loaded();
        let sample = LagSample {
            at: clock::instant().checked_sub(Duration::from_secs(3600)),
            history: ReplId::ZERO,
            offset: Offset(0),
            behind_bytes: 7,
            source: Source::Probe,
        };
        status.freshness.sampled(sample, &status.link);
        status.judge_lag(LagLimits { seconds: 5, bytes: 0 }, clock::instant(), UnixMs(1));
        client.ask("HELLO 3");
        let text = told(&mut client);
        assert!(text.starts_with("%7 ") && text.contains("staleness-ms :36000"), "{text}");
        let rest = "$6 source $5 probe $9 lag-bytes :7 $8 exceeded $23 replica-max-lag-seconds ";
        assert!(text.ends_with(rest), "{text}");
    }
}
