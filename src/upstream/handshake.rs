//! The conversation from PING to the answer to PSYNC, as it is spoken.

use super::LinkError;
use super::wire::Wire;
use crate::config::{Config, Master};
use crate::limits::CHAIN_NODES_MAX;
use crate::position::Position;
use crate::repl::psync::{self, PsyncReply, Turned};
use bytes::Bytes;

/// What we say we are. A Valkey 9 master that does not hear 9.0.0 or higher writes RDB 11, which cannot hold a hash
/// with field expiry: it then closes the connection for ever. Redis answers a harmless error.
const VERSION: &[u8] = b"9.1.0";

/// Says who we are. Answers the ids of the master and of the remoras above it as far as it is one and tells of them, the
/// nearest first.
pub(super) async fn introduce(
    wire: &mut Wire,
    master: &Master,
    config: &Config,
) -> Result<Vec<String>, LinkError> {
    wire.command(&[b"PING"]).await?;
    let pong = answer(wire).await?;
    tolerate_ping(&pong)?;

    authenticate(wire, master, config).await?;

    // Errors of REPLCONF are not fatal: an old master does not know every option.
    replconf(wire, &[b"listening-port", config.announced_port().to_string().as_bytes()]).await?;
    if let Some(ip) = config.announced_ip() {
        replconf(wire, &[b"ip-address", ip.as_bytes()]).await?;
    }
    // Real masters ignore the last one; another remora then gives us everything that it keeps, and says who is above.
    let told = replconf(wire, &[b"capa", b"eof", b"capa", b"psync2", b"capa", b"remora"]).await?;
    replconf(wire, &[b"version", VERSION]).await?;
    chain(&told)
}

/// Asks for the stream. `have` is what we hold and can continue.
pub(super) async fn ask(wire: &mut Wire, have: Option<&Position>) -> Result<PsyncReply, LinkError> {
    let words = psync::request(have);
    wire.command(&words.each_ref().map(|word| &word[..])).await?;
    let line = answer(wire).await?;
    match psync::parse_reply(&line) {
        Some(reply) => reply.map_err(LinkError::Turned),
        None => Err(unexpected("PSYNC", &line)),
    }
}

/// AUTH, where there is a password.
pub(super) async fn authenticate(wire: &mut Wire, master: &Master, config: &Config) -> Result<(), LinkError> {
    let Some((user, password)) = credentials(master, config) else { return Ok(()) };
    match user {
        Some(user) => wire.command(&[b"AUTH", user.as_bytes(), password]).await?,
        None => wire.command(&[b"AUTH", password]).await?,
    }
    let reply = answer(wire).await?;
    if let Some(error) = reply.strip_prefix(b"-") {
        let text = String::from_utf8_lossy(error).into_owned();
        return Err(LinkError::Turned(Turned::Credentials(text)));
    }
    Ok(())
}

/// The next line that is not a keep-alive. A master may send empty lines while it prepares.
pub(super) async fn answer(wire: &mut Wire) -> Result<Bytes, LinkError> {
    loop {
        let line = wire.line().await?;
        if !line.is_empty() {
            return Ok(line);
        }
    }
}

/// PING only tells whether somebody is there: a master that wants AUTH first, or whose ACL hides PING, is fine.
fn tolerate_ping(line: &[u8]) -> Result<(), LinkError> {
    let Some(error) = line.strip_prefix(b"-") else {
        return if line.starts_with(b"+") { Ok(()) } else { Err(unexpected("PING", line)) };
    };
    let fine = [&b"NOAUTH"[..], b"NOPERM", b"ERR operation not permitted"];
    if fine.iter().any(|start| error.starts_with(start)) {
        return Ok(());
    }
    Err(LinkError::Turned(psync::turned(error)))
}

/// User and password: those of the URL, else masteruser and masterauth.
fn credentials<'a>(master: &'a Master, config: &'a Config) -> Option<(Option<&'a str>, &'a [u8])> {
    let user = master.user.as_deref().or(config.masteruser.as_deref());
    let password = master.password.as_ref().or(config.masterauth.as_ref())?;
    Some((user, password.reveal()))
}

/// The ids in what another remora answers to `capa remora`: `+OK id id ...`. Real masters say `+OK`.
fn chain(line: &[u8]) -> Result<Vec<String>, LinkError> {
    let words = line.split(u8::is_ascii_whitespace).skip(1);
    let is_id = |word: &&[u8]| word.len() == 40 && word.iter().all(u8::is_ascii_hexdigit);
    let ids: Vec<String> = words.filter(is_id).map(|id| String::from_utf8_lossy(id).into_owned()).collect();
    if ids.len() > CHAIN_NODES_MAX { Err(unexpected("REPLCONF: an endless chain", line)) } else { Ok(ids) }
}

/// The line of the answer; an error is as good as none.
async fn replconf(wire: &mut Wire, words: &[&[u8]]) -> Result<Bytes, LinkError> {
    let command: Vec<&[u8]> = std::iter::once(&b"REPLCONF"[..]).chain(words.iter().copied()).collect();
    wire.command(&command).await?;
    let line = answer(wire).await?;
    if let Some(error) = line.strip_prefix(b"-") {
        let option = String::from_utf8_lossy(words.first().copied().unwrap_or_default()).into_owned();
        tracing::debug!(option, error = %String::from_utf8_lossy(error), "the master does not take a REPLCONF");
        return Ok(Bytes::new());
    }
    if line.starts_with(b"+") { Ok(line) } else { Err(unexpected("REPLCONF", &line)) }
}

/// A line that no master sends at this point, shortened for the log.
pub(super) fn unexpected(step: &'static str, line: &[u8]) -> LinkError {
    let line = line.get(..80).unwrap_or(line).escape_ascii().to_string();
    LinkError::Unexpected { step, line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remora_tells_of_those_above_and_nobody_else_does() {
        let id = |c: &str| c.repeat(40);
        assert!(chain(b"+OK").expect("none").is_empty() && chain(b"").expect("none").is_empty());
        let line = format!("+OK {} {} more", id("a"), id("0"));
        assert_eq!(chain(line.as_bytes()).expect("two"), [id("a"), id("0")]);
        let endless = format!("+OK{}", format!(" {}", id("b")).repeat(CHAIN_NODES_MAX + 1));
        assert!(chain(endless.as_bytes()).is_err());
    }
}
