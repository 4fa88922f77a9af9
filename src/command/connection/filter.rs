//! Which clients CLIENT LIST and CLIENT KILL mean: conditions that must all hold, in the words of the server that is
//! followed. Valkey 9 knows more of them, and their opposites (`NOT-...`).

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::clients::{Client, ClientKind};
use crate::command::context::SessionCx;
use crate::number::parse_integer;
use crate::resp::refusal::Refusal;

/// Letters of `flags=` that real servers know.
const FLAGS: &[u8] = b"OSMPxbtRBdcuAUreTINiE";

/// The options of CLIENT KILL that Redis knows.
const OF_REDIS: [&[u8]; 7] = [b"id", b"type", b"addr", b"laddr", b"user", b"maxage", b"skipme"];

/// What CLIENT LIST or CLIENT KILL was told.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    conditions: Vec<(bool, Test<'a>)>,
    /// SKIPME, if it was told.
    pub(super) skip_me: Option<bool>,
}

#[derive(Debug)]
enum Test<'a> {
    Ids(Vec<u64>),
    Kind(ClientKind),
    Addr(&'a [u8]),
    Laddr(&'a [u8]),
    Ip(&'a [u8]),
    User(&'a [u8]),
    OlderThan(i64),
    IdleFor(i64),
    Flags(&'a [u8]),
    Name(&'a [u8]),
    LibName(&'a [u8]),
    LibVer(&'a [u8]),
    Db(u32),
    Capa(&'a [u8]),
}

impl<'a> Filter<'a> {
    /// `CLIENT KILL addr`
    pub(super) fn of_address(addr: &'a [u8]) -> Self {
        Self { conditions: vec![(true, Test::Addr(addr))], skip_me: Some(false) }
    }

    /// The filter of CLIENT LIST: Redis takes one, TYPE or ID.
    pub(super) fn of_list(cx: &SessionCx<'_>, args: &mut Args<'a>) -> Result<Self, Refusal> {
        if cx.dialect().is_valkey() {
            return Self::parse(cx, args);
        }
        let mut filter = Self::default();
        if args.remaining() == 2 && args.take("type") {
            filter.add(true, Test::Kind(kind(args.require()?)?));
        } else if args.remaining() >= 2 && args.take("id") {
            let ids: Option<Vec<i64>> = args.by_ref().map(parse_integer).collect();
            let ids = ids.ok_or(Refusal::text("ERR Invalid client ID"))?;
            filter.add(true, Test::Ids(ids.into_iter().filter_map(|id| u64::try_from(id).ok()).collect()));
        }
        args.end()?;
        Ok(filter)
    }

    /// Options with values to the end.
    pub(super) fn parse(cx: &SessionCx<'_>, args: &mut Args<'a>) -> Result<Self, Refusal> {
        let valkey = cx.dialect().is_valkey();
        let mut filter = Self::default();
        while let Some(option) = args.optional() {
            let lower = option.to_ascii_lowercase();
            let (wanted, name) = match lower.strip_prefix(b"not-") {
                Some(name) if valkey => (false, name),
                _ => (true, lower.as_slice()),
            };
            if name == b"id" && valkey {
                filter.add(wanted, Test::Ids(many_ids(args)?));
                continue;
            }
            let value = args.require()?;
            if !valkey && !OF_REDIS.contains(&name) {
                return Err(Refusal::SYNTAX);
            }
            if wanted && name == b"skipme" {
                filter.skip_me = Some(yes_no(value)?);
                continue;
            }
            let test = match test(cx, option, name, value)? {
                Test::OlderThan(_) | Test::IdleFor(_) if !wanted => return Err(Refusal::SYNTAX),
                test => test,
            };
            filter.add(wanted, test);
        }
        Ok(filter)
    }

    /// Of two conditions of one kind the later holds.
    fn add(&mut self, wanted: bool, test: Test<'a>) {
        let same = |(is, known): &(bool, Test<'_>)| {
            *is == wanted && std::mem::discriminant(known) == std::mem::discriminant(&test)
        };
        self.conditions.retain(|known| !same(known));
        self.conditions.push((wanted, test));
    }

    /// Does it mean this client? One that was killed is in no list any more, as at real servers, also while its
    /// thread still has to notice.
    pub(super) fn means(&self, client: &Client, now: UnixMs) -> bool {
        !client.is_killed() && self.conditions.iter().all(|(wanted, test)| test.holds(client, now) == *wanted)
    }
}

impl Test<'_> {
    fn holds(&self, client: &Client, now: UnixMs) -> bool {
        let seconds = |since: UnixMs| (now.0 - since.0) / 1000;
        let has = |letters: &[u8], owned: &str| letters.iter().all(|letter| owned.as_bytes().contains(letter));
        match self {
            Self::Ids(ids) => ids.contains(&client.id),
            Self::Kind(kind) => client.kind() == *kind,
            Self::Addr(addr) => client.endpoint.addr.as_bytes() == *addr,
            Self::Laddr(laddr) => client.endpoint.laddr.as_bytes() == *laddr,
            Self::Ip(ip) => host(&client.endpoint.addr) == *ip,
            Self::User(user) => *client.user_name() == **user,
            Self::OlderThan(age) => seconds(client.created) >= *age,
            Self::IdleFor(idle) => seconds(client.last_io()) >= *idle,
            Self::Flags(letters) => has(letters, &client.flags()),
            Self::Name(name) => client.names().name == *name,
            Self::LibName(name) => client.names().lib_name == *name,
            Self::LibVer(version) => client.names().lib_ver == *version,
            Self::Db(db) => client.db().0 == *db,
            Self::Capa(letters) => has(letters, client.capabilities()),
        }
    }
}

/// The address without its port.
fn host(addr: &str) -> &[u8] {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').as_bytes()
}

/// One condition; `option` is how it was typed.
fn test<'a>(cx: &SessionCx<'_>, option: &[u8], name: &[u8], value: &'a [u8]) -> Result<Test<'a>, Refusal> {
    Ok(match name {
        b"id" => Test::Ids(vec![id(parse_integer(value))?]),
        b"type" => Test::Kind(kind(value)?),
        b"addr" => Test::Addr(value),
        b"laddr" => Test::Laddr(value),
        b"ip" => Test::Ip(value),
        b"user" => Test::User(user(cx, value)?),
        b"maxage" => Test::OlderThan(positive(value, "maxage")?),
        b"idle" => Test::IdleFor(positive(value, "idle")?),
        b"flags" => Test::Flags(letters(value, FLAGS, "flags")?),
        b"capa" => Test::Capa(letters(value, b"r", "capa")?),
        b"name" => Test::Name(value),
        b"lib-name" => Test::LibName(value),
        b"lib-ver" => Test::LibVer(value),
        b"db" => Test::Db(db(cx, option, value)?),
        _ => return Err(Refusal::SYNTAX),
    })
}

fn kind(word: &[u8]) -> Result<ClientKind, Refusal> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientKind::Normal),
        b"slave" | b"replica" => Ok(ClientKind::Replica),
        b"pubsub" => Ok(ClientKind::Pubsub),
        b"master" | b"primary" => Ok(ClientKind::Master),
        _ => {
            let word = String::from_utf8_lossy(word);
            Err(Refusal::text(format!("ERR Unknown client type '{word}'")))
        }
    }
}

fn id(number: Option<i64>) -> Result<u64, Refusal> {
    let id = number.and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
    id.ok_or(Refusal::text("ERR client-id should be greater than 0"))
}

/// `ID 1 2 3`: at least one, up to what is no number.
fn many_ids(args: &mut Args<'_>) -> Result<Vec<u64>, Refusal> {
    let mut ids = Vec::new();
    while let Some(number) = args.peek().and_then(parse_integer) {
        args.optional();
        ids.push(id(Some(number))?);
    }
    if ids.is_empty() { Err(Refusal::SYNTAX) } else { Ok(ids) }
}

fn user<'a>(cx: &SessionCx<'_>, name: &'a [u8]) -> Result<&'a [u8], Refusal> {
    if cx.server.users.get(name).is_some() {
        return Ok(name);
    }
    Err(Refusal::text(format!("ERR No such user '{}'", String::from_utf8_lossy(name))))
}

fn positive(word: &[u8], name: &str) -> Result<i64, Refusal> {
    match parse_integer(word) {
        None => Err(Refusal::text(format!("ERR {name} is not an integer or out of range"))),
        Some(number) if number <= 0 => Err(Refusal::text(format!("ERR {name} should be greater than 0"))),
        Some(number) => Ok(number),
    }
}

fn letters<'a>(word: &'a [u8], known: &[u8], name: &str) -> Result<&'a [u8], Refusal> {
    if word.iter().all(|letter| known.contains(letter)) {
        return Ok(word);
    }
    let word = String::from_utf8_lossy(word);
    Err(Refusal::text(format!("ERR Unknown {name} found in the provided filter: {word}")))
}

fn db(cx: &SessionCx<'_>, option: &[u8], word: &[u8]) -> Result<u32, Refusal> {
    let option = String::from_utf8_lossy(option);
    let number = parse_integer(word)
        .ok_or_else(|| Refusal::text(format!("ERR {option} is not an integer or out of range")))?;
    let databases = cx.data.databases();
    let known = u32::try_from(number).ok().filter(|db| (*db as usize) < databases);
    known.ok_or_else(|| {
        Refusal::text(format!("ERR {option} number should be between 0 and {}", databases.saturating_sub(1)))
    })
}

fn yes_no(word: &[u8]) -> Result<bool, Refusal> {
    match word.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(Refusal::SYNTAX),
    }
}
