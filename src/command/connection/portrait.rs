//! What CLIENT LIST says of a client. Taken at one moment, printed as the server that is followed prints it: each family and
//! release has its own fields, all of them in one order.

use crate::clock::UnixMs;
use crate::command::clients::Client;
use crate::command::session::Session;
use crate::command::table;
use crate::dataset::Dialect;

/// Whose lines have a field.
#[derive(Clone, Copy, Debug)]
enum Had {
    Always,
    /// By a Redis of this release and later, and by every Valkey.
    SinceRedis(u8, u8),
    /// By Redis 8 only.
    Redis8,
    /// By Valkey 8 and later only.
    Valkey8,
}

/// The fields in order.
const FIELDS: [(&str, Had); 36] = [
    ("id", Had::Always),
    ("addr", Had::Always),
    ("laddr", Had::SinceRedis(6, 2)),
    ("fd", Had::Always),
    ("name", Had::Always),
    ("age", Had::Always),
    ("idle", Had::Always),
    ("flags", Had::Always),
    ("capa", Had::Valkey8),
    ("db", Had::Always),
    ("sub", Had::Always),
    ("psub", Had::Always),
    ("ssub", Had::SinceRedis(7, 0)),
    ("multi", Had::Always),
    ("watch", Had::SinceRedis(7, 4)),
    ("qbuf", Had::Always),
    ("qbuf-free", Had::Always),
    ("argv-mem", Had::Always),
    ("multi-mem", Had::SinceRedis(7, 0)),
    ("rbs", Had::SinceRedis(7, 0)),
    ("rbp", Had::SinceRedis(7, 0)),
    ("obl", Had::Always),
    ("oll", Had::Always),
    ("omem", Had::Always),
    ("tot-mem", Had::Always),
    ("events", Had::Always),
    ("cmd", Had::Always),
    ("user", Had::Always),
    ("redir", Had::SinceRedis(6, 2)),
    ("resp", Had::SinceRedis(7, 0)),
    ("lib-name", Had::SinceRedis(7, 2)),
    ("lib-ver", Had::SinceRedis(7, 2)),
    ("io-thread", Had::Redis8),
    ("tot-net-in", Had::Valkey8),
    ("tot-net-out", Had::Valkey8),
    ("tot-cmds", Had::Valkey8),
];

impl Had {
    fn by(self, dialect: Dialect) -> bool {
        match (self, dialect) {
            (Self::Always, _) | (Self::SinceRedis(..), Dialect::Valkey(..)) => true,
            (Self::SinceRedis(major, minor), Dialect::Redis(..)) => dialect >= Dialect::Redis(major, minor),
            (Self::Redis8, _) => matches!(dialect, Dialect::Redis(8.., _)),
            (Self::Valkey8, _) => matches!(dialect, Dialect::Valkey(8.., _)),
        }
    }
}

/// A client at one moment: the values of [`FIELDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Portrait(Vec<Vec<u8>>);

impl Portrait {
    /// `running`: what it is doing just now; without, the command it ran last. `qbuf` is what came and is not executed,
    /// `oll` and `omem` are what waits to be sent; there are no reply buffers of one client and no blocks of arguments,
    /// so what tells of those is 0. `io-thread` is the worker that serves it.
    pub(crate) fn of(client: &Client, running: Option<&'static str>, now: UnixMs) -> Self {
        let seconds = |since: UnixMs| ((now.0 - since.0).max(0) / 1000).to_string();
        let row = client.last_row().and_then(table::row);
        let command = running.map(str::to_owned).or_else(|| row.map(|row| row.name.replace(' ', "|")));
        let names = client.names();
        let (net_in, net_out, requests) = client.traffic();
        let (multi, multi_mem) = client.multi();
        let (qbuf, omem) = client.buffers();
        let place = &client.endpoint;
        let [sub, psub, ssub] = client.subscriptions();
        let value = |name: &str| -> Vec<u8> {
            let text = match name {
                "id" => client.id.to_string(),
                "addr" => place.addr.clone(),
                "laddr" => place.laddr.clone(),
                "fd" => place.fd.to_string(),
                "name" => return names.name.clone(),
                "age" => seconds(client.created),
                "idle" => seconds(client.last_io()),
                "flags" => client.flags(),
                "capa" => client.capabilities().to_owned(),
                "db" => client.db().0.to_string(),
                "sub" => sub.to_string(),
                "psub" => psub.to_string(),
                "ssub" => ssub.to_string(),
                "multi" => multi.map_or(-1, u64::cast_signed).to_string(),
                "watch" => client.watching().to_string(),
                "qbuf" => qbuf.to_string(),
                "multi-mem" => multi_mem.to_string(),
                "oll" => u8::from(omem > 0).to_string(),
                "omem" => omem.to_string(),
                "tot-mem" => memory_of(client).to_string(),
                "events" => if omem > 0 { "rw" } else { "r" }.to_owned(),
                "cmd" => command.clone().unwrap_or_else(|| "NULL".to_owned()),
                "user" => return client.user_name().into_vec(),
                "redir" => client.mailbox().redirect().to_string(),
                "resp" => client.resp().to_string(),
                "lib-name" => return names.lib_name.clone(),
                "lib-ver" => return names.lib_ver.clone(),
                "io-thread" => place.worker.to_string(),
                "tot-net-in" => net_in.to_string(),
                "tot-net-out" => net_out.to_string(),
                "tot-cmds" => requests.to_string(),
                // There is nothing of the kind here, as said above.
                "qbuf-free" | "argv-mem" | "rbs" | "rbp" | "obl" => "0".to_owned(),
                _ => unreachable!("{name} stands in the table without a value"),
            };
            text.into_bytes()
        };
        Self(FIELDS.iter().map(|(name, _)| value(name)).collect())
    }

    /// The line without its end, as a server of this family and release prints it; all fields if none is named.
    pub(crate) fn line(&self, dialect: Option<Dialect>) -> Vec<u8> {
        let mut line = Vec::with_capacity(400);
        for (value, (name, had)) in self.0.iter().zip(&FIELDS) {
            if dialect.is_some_and(|dialect| !had.by(dialect)) {
                continue;
            }
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            // As redis 6: no subcommand behind the command.
            let cut = *name == "cmd" && dialect.is_some_and(Dialect::is_before_redis_7);
            let value = if cut { value.split(|byte| *byte == b'|').next().unwrap_or_default() } else { value };
            line.extend_from_slice(value);
        }
        line
    }
}

/// Bytes that a client takes: its session, what came and is not executed, what waits to be sent, what is queued.
pub(crate) fn memory_of(client: &Client) -> usize {
    let (input, output) = client.buffers();
    let (_, queued) = client.multi();
    size_of::<Client>() + size_of::<Session>() + (input + output + queued) as usize
}
