//! LOLWUT: a picture of our own, under it the version in the words of the server that is followed. Arguments are checked as
//! each release's own art checks them, and change nothing.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::server::Identity;
use crate::dataset::Dialect;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

const FISH: &str = r"
                  ____....----....____
         __..--''  ||||||||||||||    ''--..__
    .--''   o      ||||||||||||||            ''--..___/|
   <                ``````````````                     <
    '--..__  \___                     ___...----''''''\|
           ''--...____....-------''''''
      a remora holds on to something bigger and gets there for free
";

/// `LOLWUT [VERSION n] [argument ...]`
pub(super) fn lolwut(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let dialect = cx.dialect();
    let version = match args.remaining() >= 2 && args.take("version") {
        true => args.integer()?,
        false => of_release(dialect),
    };
    match version {
        5 => integers(args, 3)?,
        6 => integers(args, 2)?,
        9 if matches!(dialect, Dialect::Valkey(9.., _)) => plane(args)?,
        _ => {}
    }
    // As the servers: Valkey calls itself so since 9.
    let name = if matches!(dialect, Dialect::Valkey(9.., _)) { "Valkey" } else { "Redis" };
    let (own, followed) = (env!("CARGO_PKG_VERSION"), Identity::of(dialect).version);
    out.verbatim("txt", format!("{FISH}\nremora ver. {own}\n{name} ver. {followed}\n"));
    Ok(())
}

/// The art that a release shows by itself.
fn of_release(dialect: Dialect) -> i64 {
    match dialect {
        Dialect::Redis(major, _) | Dialect::Valkey(major, _) => i64::from(major),
    }
}

/// Up to so many integers; what comes behind them is not looked at.
fn integers(args: &mut Args<'_>, most: usize) -> Result<(), Refusal> {
    for _ in 0..most.min(args.remaining()) {
        args.integer()?;
    }
    Ok(())
}

/// `[columns rows [real imaginary]]`
fn plane(args: &mut Args<'_>) -> Result<(), Refusal> {
    if !matches!(args.remaining(), 0 | 2 | 4) {
        return Err(Refusal::text("ERR Syntax error. Use: LOLWUT [columns rows] [real imaginary]"));
    }
    integers(args, 2)?;
    while !args.is_empty() {
        args.float()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Session as Harness;

    #[test]
    fn the_last_line_names_the_version_that_is_followed() {
        let mut client = Harness::new(&[]);
        let art = client.ask("LOLWUT VERSION 5 1 1");
        assert!(art.contains("Redis ver. 8.0.0"), "{art}");
        for request in ["LOLWUT VERSION x", "LOLWUT VERSION 6 1 x"] {
            assert_eq!(client.ask(request), "-ERR value is not an integer or out of range\r\n");
        }
    }
}
