//! The conversation from PING to the answer to PSYNC, as it is spoken.

use super::LinkError;
use super::wire::Wire;
use crate::config::{Config, Master};
use crate::position::Position;
use crate::repl::psync::{self, PsyncReply, Turned};
use bytes::Bytes;

/// What we say we are. A Valkey 9 master that does not hear 9.0.0 or higher writes RDB 11, which cannot hold a hash
/// with field expiry: it then closes the connection for ever. Redis answers a harmless error.
const VERSION: &[u8] = b"9.1.0";

/// Speaks with a master until it has answered PSYNC. `have` is what we hold and can continue.
pub(super) async fn handshake(
    wire: &mut Wire,
    master: &Master,
    config: &Config,
    have: Option<&Position>,
) -> Result<PsyncReply, LinkError> {
    wire.command(&[b"PING"]).await?;
    let pong = answer(wire).await?;
    tolerate_ping(&pong)?;

    if let Some((user, password)) = credentials(master, config) {
        match user {
            Some(user) => wire.command(&[b"AUTH", user.as_bytes(), password]).await?,
            None => wire.command(&[b"AUTH", password]).await?,
        }
        let reply = answer(wire).await?;
        if let Some(error) = reply.strip_prefix(b"-") {
            let text = String::from_utf8_lossy(error).into_owned();
            return Err(LinkError::Turned(Turned::Credentials(text)));
        }
    }

    // Errors of REPLCONF are not fatal: an old master does not know every option.
    replconf(wire, &[b"listening-port", config.announced_port().to_string().as_bytes()]).await?;
    if let Some(ip) = config.announced_ip() {
        replconf(wire, &[b"ip-address", ip.as_bytes()]).await?;
    }
    // Real masters ignore the last one; another remora then gives us everything that it keeps.
    replconf(wire, &[b"capa", b"eof", b"capa", b"psync2", b"capa", b"remora"]).await?;
    replconf(wire, &[b"version", VERSION]).await?;

    let words = psync::request(have);
    wire.command(&words.each_ref().map(|word| &word[..])).await?;
    let line = answer(wire).await?;
    match psync::parse_reply(&line) {
        Some(reply) => reply.map_err(LinkError::Turned),
        None => Err(unexpected("PSYNC", &line)),
    }
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

async fn replconf(wire: &mut Wire, words: &[&[u8]]) -> Result<(), LinkError> {
    let command: Vec<&[u8]> = std::iter::once(&b"REPLCONF"[..]).chain(words.iter().copied()).collect();
    wire.command(&command).await?;
    let line = answer(wire).await?;
    if let Some(error) = line.strip_prefix(b"-") {
        let option = String::from_utf8_lossy(words.first().copied().unwrap_or_default()).into_owned();
        tracing::debug!(option, error = %String::from_utf8_lossy(error), "the master does not take a REPLCONF");
        return Ok(());
    }
    if line.starts_with(b"+") { Ok(()) } else { Err(unexpected("REPLCONF", &line)) }
}

/// A line that no master sends at this point, shortened for the log.
pub(super) fn unexpected(step: &'static str, line: &[u8]) -> LinkError {
    let line = line.get(..80).unwrap_or(line).escape_ascii().to_string();
    LinkError::Unexpected { step, line }
}
