//! Replication as clients see and steer it: ROLE, REPLICAOF, and what a would-be sub-replica says until its connection
//! goes to the feeder.

use super::args::Args;
use super::context::SessionCx;
use super::introduction::Asked;
use super::row::{Row, session};
use super::session::After;
use crate::config::{Address, Master};
use crate::rdb::snapshot::Contents;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::{LinkPhase, Restore};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    session("role", 1, role).always(),
    session("replicaof", 3, replicaof).always(),
    session("slaveof", 3, replicaof).always(),
    session("failover", -1, failover).always(),
    session("replconf", -1, replconf).always(),
    session("psync", -3, psync).always(),
    session("sync", 1, sync).always(),
    session("wait", 3, wait),
    session("waitaof", 4, waitaof),
];

/// `slave`, host, port, state, offset; the offset is -1 unless the stream flows.
fn role(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let link = &cx.server.status.link;
    let master = cx.server.master.borrow().address.clone();
    let phase = link.phase_towards(&master.host(), master.port());
    let offset = match phase {
        LinkPhase::Connected => i64::try_from(cx.data.position.offset.0).unwrap_or(i64::MAX),
        _ => -1,
    };
    out.array(5);
    out.bulk("slave");
    out.bulk(master.host());
    out.integer(master.port().into());
    out.bulk(phase.as_str());
    out.integer(offset);
    Ok(())
}

/// Follows another master from now on, with the credentials of the present one.
fn replicaof(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (host, port) = (args.require()?, args.require()?);
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Err(Refusal::text("ERR REPLICAOF NO ONE is refused: remora is a replica and never a master"));
    }
    let port = std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    let port = port.ok_or(Refusal::text("ERR Invalid master port"))?;
    let host = std::str::from_utf8(host).map_err(|_| "Invalid master host".into());
    let address = host.and_then(|host| Address::tcp(host, port));
    let address = address.map_err(|why: String| Refusal::text(format!("ERR {why}")))?;
    if cx.server.config.get().is_own(&address) {
        return Err(Refusal::text("ERR REPLICAOF is refused: this is where remora itself listens"));
    }
    let moved = cx.server.master.send_if_modified(|master| {
        let moves = master.address != address;
        if moves {
            master.address = address.clone();
        }
        moves
    });
    if !moved {
        out.simple("OK Already connected to specified master");
        return Ok(());
    }
    let master: Master = cx.server.master.borrow().clone();
    tracing::info!(%master, client = cx.session.id(), "REPLICAOF: following another master");
    cx.server.config.change(|config| config.replicaof = Some(master));
    out.ok();
    Ok(())
}

fn failover(_: &mut SessionCx<'_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    let words = args.remaining();
    while !args.is_empty() {
        let behind = args.remaining() - 1;
        if behind >= 1 && args.take("timeout") {
            args.integer()?;
        } else if behind >= 2 && args.take("to") {
            args.require()?;
            args.integer()?;
        } else if words == 1 && args.take("abort") {
            return Err(Refusal::text("ERR No failover in progress."));
        } else if !args.take("force") {
            return Err(Refusal::SYNTAX);
        }
    }
    Err(Refusal::text("ERR FAILOVER is not valid when server is a replica."))
}

/// What replicas say of themselves is remembered; acknowledgements get no reply. Another remora hears our id and those
/// above us, and finds out by its own among them that it would follow itself.
fn replconf(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let introduction = cx.session.introduction();
    if !introduction.tell(args)? {
        return Ok(());
    }
    if introduction.remora && introduction.told_above.is_none() {
        let above = cx.server.status.link.above();
        out.simple(format!("OK {} {}", cx.server.status.run_id, above.join(" ")).trim_end());
        introduction.told_above = Some(above);
    } else {
        out.ok();
    }
    Ok(())
}

fn psync(cx: &mut SessionCx<'_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    let asked = Asked::parse(args)?;
    replicate(cx, asked)
}

fn sync(cx: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    replicate(cx, Asked::Sync)
}

/// The connection goes to the feeder, which decides what the sub-replica gets.
fn replicate(cx: &mut SessionCx<'_>, asked: Asked) -> Result<(), Refusal> {
    let status = &cx.server.status;
    if !status.is_loaded() {
        let restoring = status.saves.restore() == Restore::Loading;
        return Err(if restoring { Refusal::loading(cx.dialect().is_valkey()) } else { Refusal::NO_MASTER_LINK });
    }
    let introduction = cx.session.introduction();
    if introduction.contents != Contents::ALL && !introduction.eof {
        return Err(Refusal::text("ERR Filtered replica requires EOF capability"));
    }
    introduction.asked = asked;
    cx.after = After::Replicate;
    Ok(())
}

fn wait(cx: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    let since = if cx.dialect().is_valkey() { "if" } else { "since Redis 4.0 if" };
    Err(Refusal::text(format!(
        "ERR WAIT cannot be used with replica instances. Please also note that {since} a replica is configured to be \
         writable (which is not the default) writes to replicas are just local and are not propagated.",
    )))
}

fn waitaof(_: &mut SessionCx<'_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    if !(0..=1).contains(&args.integer()?) {
        return Err(Refusal::text("ERR value is out of range, value must between 0 and 1"));
    }
    if args.integer()? < 0 {
        return Err(Refusal::MUST_BE_POSITIVE);
    }
    Err(Refusal::text(
        "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local \
         and are not propagated.",
    ))
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::introduction::{Asked, Introduction};
    use crate::command::session::After;
    use crate::command::testing::Session as Harness;
    use crate::config::Master;
    use crate::position::{Offset, ReplId};
    use crate::status::{LinkPhase, Restore};

    #[test]
    fn role_tells_master_state_and_offset() {
        let mut client = Harness::new(&[]);
        let role = |state: &str, offset: &str| {
            format!("*5\r\n$5\r\nslave\r\n$6\r\nmaster\r\n:6379\r\n${}\r\n{state}\r\n:{offset}\r\n", state.len())
        };
        assert_eq!(client.ask("ROLE"), role("connect", "-1"));
        client.server().status.link.set_phase(LinkPhase::Connected, UnixMs(1));
        assert_eq!(client.ask("ROLE"), role("connected", "0"));
    }

    #[test]
    fn replicaof_tells_the_link_where_to_go_and_keeps_the_credentials() {
        let mut client = Harness::new(&[]);
        let mut masters = client.server().master.subscribe();
        assert_eq!(client.ask("REPLICAOF master 6379"), "+OK Already connected to specified master\r\n");
        assert!(!masters.has_changed().expect("a sender"));
        assert_eq!(client.ask("SLAVEOF other 7"), "+OK\r\n");
        let master = masters.borrow_and_update().clone();
        assert_eq!(master, Master { user: Some("me".into()), ..Master::tcp("other", 7) });
        assert_eq!(client.ask("CONFIG GET replicaof"), "*2\r\n$9\r\nreplicaof\r\n$7\r\nother 7\r\n");
    }

    #[test]
    fn what_a_replica_must_refuse_is_refused() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("REPLICAOF no one", "-ERR REPLICAOF NO ONE is refused"),
            ("REPLICAOF host x", "-ERR Invalid master port"),
            ("REPLICAOF host 0", "-ERR Invalid master port"),
            ("REPLICAOF \"\" 6379", "-ERR Invalid master host"),
            ("REPLICAOF \"a\\nrequirepass x\" 6379", "-ERR Invalid master host"),
            ("REPLICAOF 127.0.0.1 6379", "-ERR REPLICAOF is refused: this is where remora itself listens"),
            ("REPLICAOF LocalHost 6379", "-ERR REPLICAOF is refused"),
            ("FAILOVER", "-ERR FAILOVER is not valid when server is a replica."),
            (
                "WAIT 0 0",
                "-ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if",
            ),
            ("WAITAOF 0 0 0", "-ERR WAITAOF cannot be used"),
            ("PSYNC ? -1", "-NOMASTERLINK Can't SYNC while not connected with my master"),
            ("PSYNC id 7 FAILOVER", "-ERR PSYNC FAILOVER is refused"),
            ("SYNC", "-NOMASTERLINK"),
            ("REPLCONF listening-port 1 capa eof capa psync2", "+OK"),
            ("REPLCONF foo bar", "-ERR Unrecognized REPLCONF option: foo"),
            ("REPLCONF x", "-ERR syntax error"),
        ] {
            assert!(client.ask(request).starts_with(reply), "{request}");
        }
        assert_eq!(client.ask("REPLCONF ACK 1"), "");
    }

    #[test]
    fn replconf_answers_as_the_real_masters_do() {
        let mut client = Harness::new(&[]);
        let long = format!("REPLCONF ip-address {}", "a".repeat(256));
        for (request, reply) in [
            ("REPLCONF", "+OK\r\n"),
            ("REPLCONF listening-port abc", "-ERR value is not an integer or out of range\r\n"),
            ("REPLCONF listening-port 99999999", "+OK\r\n"),
            ("REPLCONF rdb-only x", "-ERR value is not an integer or out of range\r\n"),
            ("REPLCONF rdb-filter-only foo", "-ERR Unsupported rdb-filter-only option: foo\r\n"),
            ("REPLCONF rdb-filter-only \"functions foo\"", "-ERR Unsupported rdb-filter-only option: foo\r\n"),
            ("REPLCONF rdb-filter-only \"\\\"a\"", "-ERR Missing rdb-filter-only values\r\n"),
            ("REPLCONF rdb-filter-only \"FUNCTIONS functions\"", "+OK\r\n"),
            ("REPLCONF version 9", "-ERR Unrecognized version format: 9\r\n"),
            ("REPLCONF version 9.1.x", "-ERR Unrecognized version format: 9.1.x\r\n"),
            ("REPLCONF version 99.1.3", "+OK\r\n"),
            ("REPLCONF capa foo capa eof", "+OK\r\n"),
            ("REPLCONF GETACK *", ""),
            (&long, "-ERR REPLCONF ip-address provided by replica instance is too long: 256 bytes\r\n"),
            ("PSYNC ? abc", "-ERR value is not an integer or out of range\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
    }

    #[test]
    fn what_a_replica_says_of_itself_is_remembered() {
        let mut client = Harness::new(&[]);
        client.ask("REPLCONF listening-port 6380 ip-address pod-7,x");
        client.ask("REPLCONF capa eof capa PSYNC2 capa rdb-channel-repl capa other");
        client.ask("replconf VERSION 9.1.2 foo bar");
        let expected = Introduction {
            listening_port: 6380,
            address: Some("pod-7?x".into()),
            eof: true,
            psync2: true,
            rdb_channel: true,
            version: Some((9, 1, 2)),
            ..Introduction::default()
        };
        assert_eq!(client.session().introduction(), &expected);
    }

    #[test]
    fn another_remora_hears_who_is_above() {
        let mut client = Harness::new(&[]);
        let (own, above) = (client.server().status.run_id.clone(), "a".repeat(40));
        assert_eq!(client.ask("REPLCONF capa eof capa remora"), format!("+OK {own}\r\n"));
        assert_eq!(client.ask("REPLCONF version 9.1.0"), "+OK\r\n");
        let mut client = Harness::new(&[]);
        client.server().status.link.set_above(vec![above.clone()]);
        let own = client.server().status.run_id.clone();
        assert_eq!(client.ask("REPLCONF capa eof capa psync2"), "+OK\r\n", "real replicas hear what they know");
        assert_eq!(client.ask("REPLCONF capa remora"), format!("+OK {own} {above}\r\n"));
    }

    #[test]
    fn while_our_own_snapshot_loads_a_sub_replica_is_told_so() {
        let mut client = Harness::new(&[]);
        client.server().status.saves.set_restore(Restore::Loading);
        for request in ["PSYNC ? -1", "SYNC"] {
            assert_eq!(client.ask(request), "-LOADING Redis is loading the dataset in memory\r\n", "{request}");
        }
        client.server().status.saves.set_restore(Restore::None);
        assert!(client.ask("SYNC").starts_with("-NOMASTERLINK"));
    }

    #[test]
    fn psync_asks_for_the_rest_or_for_everything() {
        let mut client = Harness::new(&[]);
        client.server().status.set_loaded();
        let id = "0123456789ABCDEF0123456789abcdef01234567";
        let replid = ReplId::parse(id.as_bytes()).expect("hex");
        for (request, asked) in [
            (format!("PSYNC {id} 169"), Asked::Rest { replid, from: Offset(169) }),
            (format!("PSYNC {id} -1"), Asked::Everything),
            ("PSYNC ? -1".into(), Asked::Everything),
            ("PSYNC short 5".into(), Asked::Everything),
            ("SYNC".into(), Asked::Sync),
        ] {
            assert_eq!((client.ask(&request).as_str(), client.after()), ("", After::Replicate), "{request}");
            assert_eq!(client.session().introduction().asked, asked, "{request}");
        }
    }
}
