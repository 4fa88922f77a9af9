//! Sparse registers: runs, one or two bytes each.
//!
//! `00xxxxxx` x+1 zeros · `01xxxxxx yyyyyyyy` as many as 14 bits say, plus 1 · `1vvvvvxx` x+1 times the value v+1.

use super::{Corrupt, REGISTERS};

/// All registers zero.
pub(super) const EMPTY: [u8; 2] = [0x7f, 0xff];
/// Highest value that a run can have.
const VALUE_MAX: u8 = 32;
/// Longest run with a value.
const VALUE_RUN_MAX: usize = 4;
/// Longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// Runs that are looked at for joining after a change.
const JOIN_LOOKS: usize = 5;

/// One run.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    len: usize,
    /// Bytes of its encoding.
    width: usize,
}

/// What became of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was as high already.
    Same,
    Changed,
    /// Nothing changed: this form cannot hold it.
    TooBig,
}

impl Run {
    fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        let first = *bytes.first().ok_or(Corrupt)?;
        Ok(match first >> 6 {
            0 => Self { value: 0, len: usize::from(first & 63) + 1, width: 1 },
            1 => {
                let low = *bytes.get(1).ok_or(Corrupt)?;
                Self { value: 0, len: (usize::from(first & 63) << 8 | usize::from(low)) + 1, width: 2 }
            }
            _ => Self { value: (first >> 2 & 31) + 1, len: usize::from(first & 3) + 1, width: 1 },
        })
    }

    /// Appends the encoding of a run; one of zeros takes the short form if it can.
    fn write(value: u8, len: usize, out: &mut Vec<u8>) {
        match (value, len) {
            (_, 0) => {}
            (0, ..=SHORT_ZEROS_MAX) => out.push(len as u8 - 1),
            (0, _) => out.extend_from_slice(&[0x40 | ((len - 1) >> 8) as u8, (len - 1) as u8]),
            _ => out.push(0x80 | (value - 1) << 2 | (len as u8 - 1)),
        }
    }
}

/// Hands out the runs: first register, length, value. They must be exactly all registers.
pub(super) fn visit(body: &[u8], mut run: impl FnMut(usize, usize, u8)) -> Result<(), Corrupt> {
    let (mut rest, mut first) = (body, 0);
    while !rest.is_empty() {
        let next = Run::read(rest)?;
        if first + next.len > REGISTERS {
            return Err(Corrupt);
        }
        run(first, next.len, next.value);
        first += next.len;
        rest = rest.get(next.width..).ok_or(Corrupt)?;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Raises a register of the runs that start at `body` in `bytes`, which may not grow beyond `bytes_max`.
pub(super) fn set(
    bytes: &mut Vec<u8>,
    body: usize,
    register: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Outcome, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Outcome::TooBig);
    }
    let found = find(bytes, body, register)?;
    let Found { at, before, first, run } = found;
    if run.value >= value {
        return Ok(Outcome::Same);
    }
    let mut new = Vec::with_capacity(5);
    if run.len == 1 && run.width == 1 {
        Run::write(value, 1, &mut new);
    } else {
        Run::write(run.value, register - first, &mut new);
        Run::write(value, 1, &mut new);
        Run::write(run.value, first + run.len - 1 - register, &mut new);
        if new.len() > run.width && bytes.len() + new.len() - run.width > bytes_max {
            return Ok(Outcome::TooBig);
        }
    }
    bytes.splice(at..at + run.width, new);
    join(bytes, before.unwrap_or(body))?;
    Ok(Outcome::Changed)
}

/// The run that covers a register.
struct Found {
    /// Where it stands.
    at: usize,
    /// Where the one before it stands.
    before: Option<usize>,
    /// Its first register.
    first: usize,
    run: Run,
}

fn find(bytes: &[u8], body: usize, register: usize) -> Result<Found, Corrupt> {
    let (mut at, mut before, mut first) = (body, None, 0);
    loop {
        let run = Run::read(bytes.get(at..).ok_or(Corrupt)?)?;
        if register < first + run.len {
            return Ok(Found { at, before, first, run });
        }
        first += run.len;
        before = Some(at);
        at += run.width;
    }
}

/// Joins neighbours of equal value, from `at` on, as far as the servers look.
fn join(bytes: &mut Vec<u8>, at: usize) -> Result<(), Corrupt> {
    let mut at = at;
    for _ in 0..JOIN_LOOKS {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let run = Run::read(rest)?;
        let next = if run.value > 0 { rest.get(1..).and_then(|rest| Run::read(rest).ok()) } else { None };
        match next {
            Some(next) if next.value == run.value && run.len + next.len <= VALUE_RUN_MAX => {
                let mut joined = Vec::with_capacity(1);
                Run::write(run.value, run.len + next.len, &mut joined);
                bytes.splice(at..at + 2, joined);
            }
            _ => at += run.width,
        }
    }
    Ok(())
}
