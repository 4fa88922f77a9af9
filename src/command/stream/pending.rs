//! XPENDING: what a group's consumers have been given and have not acknowledged.

use super::info::since;
use super::read::write_id;
use super::{id, no_key_or_group};
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::stream::{Group, Pending, StreamId};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// `XPENDING key group`, or `XPENDING key group [IDLE ms] start end count [consumer]`.
pub(super) fn xpending(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    let page = Page::parse(args)?;
    let group = cx.stream(key)?.and_then(|stream| stream.group(name)).ok_or_else(|| no_key_or_group(key, name))?;
    match page {
        None => summary(group, out),
        Some(page) => page.write(cx, group, out),
    }
    Ok(())
}

fn summary(group: &Group, out: &mut Reply) {
    out.array(4);
    out.count(group.pending_len());
    let mut pending = group.pending_from(StreamId::MIN).map(|(id, _)| id);
    let Some(first) = pending.next() else {
        out.null();
        out.null();
        return out.null_array();
    };
    write_id(out, first);
    write_id(out, pending.next_back().unwrap_or(first));
    let busy = || group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0);
    out.array(busy().count());
    for (name, consumer) in busy() {
        out.array(2);
        out.bulk(name);
        out.bulk(itoa::Buffer::new().format(consumer.pending_len()));
    }
}

/// Which pending entries are asked for.
struct Page<'a> {
    idle_ms_min: i64,
    from: StreamId,
    to: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Page<'a> {
    /// The words behind the group; `None` if there are none. COUNT is refused before the ids, as the servers do.
    fn parse(args: &mut Args<'a>) -> Result<Option<Self>, Refusal> {
        if args.is_empty() {
            return Ok(None);
        }
        if !matches!(args.remaining(), 3..=6) {
            return Err(Refusal::SYNTAX);
        }
        let idle_ms_min = if args.take("IDLE") { args.integer()? } else { 0 };
        if args.remaining() < 3 {
            return Err(Refusal::SYNTAX);
        }
        let (from, to) = (args.require()?, args.require()?);
        let count = usize::try_from(args.integer()?.max(0)).unwrap_or(usize::MAX);
        let (from, to) = (id::range_start(from)?, id::range_stop(to)?);
        Ok(Some(Self { idle_ms_min, from, to, count, consumer: args.optional() }))
    }

    fn write(&self, cx: &ReadCx<'_>, group: &Group, out: &mut Reply) {
        let rows: Vec<(StreamId, &Pending)> = match self.consumer {
            None => self.take(cx, group.pending_from(self.from)),
            Some(name) => {
                let ids = group.consumer(name).into_iter().flat_map(|consumer| consumer.pending_from(self.from));
                self.take(cx, ids.filter_map(|id| Some((id, group.pending(id)?))))
            }
        };
        out.array(rows.len());
        for (id, pending) in rows {
            out.array(4);
            write_id(out, id);
            out.bulk(pending.owner());
            out.integer(since(cx.now, pending.delivered).max(0));
            out.integer(pending.deliveries.cast_signed());
        }
    }

    fn take<'g>(
        &self,
        cx: &ReadCx<'_>,
        rows: impl Iterator<Item = (StreamId, &'g Pending)>,
    ) -> Vec<(StreamId, &'g Pending)> {
        let waits =
            |pending: &Pending| self.idle_ms_min == 0 || since(cx.now, pending.delivered) >= self.idle_ms_min;
        rows.take_while(|(id, _)| *id <= self.to).filter(|(_, pending)| waits(pending)).take(self.count).collect()
    }
}
