//! Publish and subscribe. Nobody can subscribe here yet, so a message reaches nobody, whoever publishes it.

use super::args::Args;
use super::context::{ApplyCx, ReadCx};
use super::row::{Keys, Row, read};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("publish", 3, Keys::None, publish)
        .samples(&["PUBLISH channel message", "PUBLISH channel"])
        .always()
        .also_applied(published),
    read("spublish", 3, Keys::One(1), publish)
        .samples(&["SPUBLISH channel message"])
        .always()
        .also_applied(published),
];

/// By a client: answers how many of this server's clients got the message. Sentinel says hello this way.
fn publish(_: &ReadCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.integer(0);
    Ok(())
}

/// By the master: goes to this server's subscribers, and changes no data.
fn published(_: &mut ApplyCx<'_>, _: &mut Args<'_>) -> Result<(), Refusal> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn a_message_reaches_nobody() {
        let mut bench = Bench::after(&["PUBLISH ch m", "spublish ch m"]);
        assert_eq!(bench.ask("PUBLISH ch m"), ":0");
        assert!(bench.apply("PUBLISH ch").is_err());
    }
}
