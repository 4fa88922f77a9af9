//! CLUSTER as a server answers it that is no member of a cluster: all is refused, but that a Valkey still reckons slots.

use super::args::Args;
use super::context::{ReadCx, SessionCx};
use super::row::{Keys, Row, container, read, session};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    container("cluster", -2).always(),
    session("cluster addslots", -3, disabled).while_stale(),
    session("cluster addslotsrange", -4, disabled).while_stale(),
    session("cluster bumpepoch", 2, disabled).while_stale(),
    session("cluster cancelslotmigrations", 2, disabled).while_stale(),
    session("cluster count-failure-reports", 3, disabled).while_stale(),
    session("cluster countkeysinslot", 3, disabled).while_stale(),
    session("cluster delslots", -3, disabled).while_stale(),
    session("cluster delslotsrange", -4, disabled).while_stale(),
    session("cluster failover", -2, disabled).while_stale(),
    session("cluster flushslots", 2, disabled).while_stale(),
    session("cluster forget", 3, disabled).while_stale(),
    session("cluster getkeysinslot", 4, disabled).while_stale(),
    session("cluster getslotmigrations", 2, disabled).while_stale(),
    session("cluster help", 2, disabled).always(),
    session("cluster info", 2, disabled).while_stale(),
    session("cluster keyslot", 3, keyslot).while_stale(),
    session("cluster links", 2, disabled).while_stale(),
    session("cluster meet", -4, disabled).while_stale(),
    session("cluster migrateslots", -4, disabled).while_stale(),
    session("cluster myid", 2, disabled).while_stale(),
    session("cluster myshardid", 2, disabled).while_stale(),
    session("cluster nodes", 2, disabled).while_stale(),
    session("cluster replicas", 3, disabled).while_stale(),
    session("cluster replicate", 3, disabled).while_stale(),
    session("cluster reset", -2, disabled).while_stale(),
    session("cluster saveconfig", 2, disabled).while_stale(),
    session("cluster set-config-epoch", 3, disabled).while_stale(),
    session("cluster setslot", -4, disabled).while_stale(),
    session("cluster shards", 2, disabled).always(),
    session("cluster slaves", 3, disabled).while_stale(),
    session("cluster slot-stats", -4, disabled).always(),
    session("cluster slots", 2, disabled).always(),
    session("cluster syncslots", -3, disabled).while_stale(),
    read("clusterscan", -2, Keys::One(1), scan).samples(&["CLUSTERSCAN 0"]),
];

const SLOTS: u16 = 16_384;

fn disabled(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::CLUSTER_DISABLED)
}

fn scan(_: &ReadCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::CLUSTER_DISABLED)
}

/// `CLUSTER KEYSLOT key`: valkey answers it outside of a cluster too (as 9.1), redis does not.
fn keyslot(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if !cx.dialect().is_valkey() {
        return Err(Refusal::CLUSTER_DISABLED);
    }
    out.integer(slot_of(args.require()?).into());
    Ok(())
}

/// The slot of a key: by what stands between its first `{` and the next `}`, if that is anything, else by all of it.
fn slot_of(key: &[u8]) -> u16 {
    let open = key.iter().position(|c| *c == b'{');
    let tag = open.and_then(|open| {
        let tag = key.get(open + 1..)?;
        tag.get(..tag.iter().position(|c| *c == b'}')?)
    });
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, bit by bit: it is asked for rarely.
fn crc16(bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ POLYNOMIAL }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        let check = |key: &str, slot| assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        // Asked of valkey 9.1.
        check("foo", 12_182);
        check("{a}b", 15_495);
        check("a", 15_495);
        check("", 0);
        assert_eq!(slot_of(b"{}b"), crc16(b"{}b") % SLOTS);
        assert_eq!(slot_of(b"x{a"), crc16(b"x{a") % SLOTS);
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }
}
