//! Replication as clients see and steer it: ROLE, REPLICAOF, and what a would-be sub-replica gets.
//!
//! This version serves no sub-replicas: they are told to come back later, in the words after which real ones do.

use super::args::Args;
use super::context::SessionCx;
use super::row::{Row, session};
use crate::config::{Address, Master};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::LinkPhase;

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
    let (master, phase) = (cx.server.master.borrow().address.clone(), link.phase());
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
    let host = std::str::from_utf8(host).map_err(|_| Refusal::text("ERR Invalid master host"))?.to_owned();
    let address = Address::Tcp { host, port };
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

fn failover(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::text("ERR FAILOVER is not valid when server is a replica."))
}

/// Everything that replicas say of themselves is taken; acknowledgements get no reply.
fn replconf(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if !args.remaining().is_multiple_of(2) {
        return Err(Refusal::SYNTAX);
    }
    while let (Some(option), Some(_)) = (args.optional(), args.optional()) {
        match option.to_ascii_lowercase().as_slice() {
            b"ack" | b"getack" => return Ok(()),
            b"listening-port"
            | b"ip-address"
            | b"capa"
            | b"version"
            | b"rdb-only"
            | b"rdb-filter-only"
            | b"rdb-channel"
            | b"main-ch-client-id"
            | b"set-rdb-client-id"
            | b"set-cluster-node-id" => {}
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(Refusal::text(format!("ERR Unrecognized REPLCONF option: {option}")));
            }
        }
    }
    out.ok();
    Ok(())
}

fn psync(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.remaining() > 2 {
        // The master aborts its failover and stays a master.
        return Err(Refusal::text("ERR PSYNC FAILOVER is refused: remora is a replica and never a master"));
    }
    sync(cx, args, out)
}

/// Real replicas take this as "later" and come again.
fn sync(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::text("NOMASTERLINK Can't SYNC while not connected with my master"))
}

fn wait(cx: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    let since = if cx.data.limits.dialect.is_valkey() { "if" } else { "since Redis 4.0 if" };
    Err(Refusal::text(format!(
        "ERR WAIT cannot be used with replica instances. Please also note that {since} a replica is configured to be \
         writable (which is not the default) writes to replicas are just local and are not propagated.",
    )))
}

fn waitaof(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::text(
        "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local \
         and are not propagated.",
    ))
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Session as Harness;
    use crate::config::Master;
    use crate::status::LinkPhase;

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
}
