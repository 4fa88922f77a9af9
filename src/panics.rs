//! What a panic does: it is logged, in the form of all other lines, and ends the process.
//!
//! A panic is an invariant of ours that does not hold. Going on would be worse: a runtime takes a task's panic to itself,
//! so a link would be gone while all looks well, and a worker would go on with buffers that are half written. Whoever
//! runs remora starts it anew. Nothing is taken down in order, and above all nothing saved: the data may be half
//! changed.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::process::exit;

/// As for everything else that keeps the program from going on.
const EXIT_PANIC: i32 = 1;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// From now on a panic in any thread is logged and ends the process, unless it is contained.
pub fn end_the_process() {
    set_hook(Box::new(|panic| {
        log(panic);
        if !CONTAINED.get() {
            exit(EXIT_PANIC);
        }
    }));
}

fn log(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("something without words");
    let ends = if CONTAINED.get() { "" } else { "; the process ends" };
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, at, %backtrace, "panicked: {what}{ends}");
    } else {
        tracing::error!(thread, at, "panicked: {what}{ends}");
    }
}

/// Runs work whose panics cost no more than itself: nothing that it leaves behind may be used. `None`: it panicked.
pub fn contain<R>(work: impl FnOnce() -> R) -> Option<R> {
    let before = CONTAINED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_contained_ends_with_its_work() {
        let inner = || (contain(|| panic!("inside")), CONTAINED.get());
        assert_eq!(contain(inner), Some((None::<()>, true)), "the outer work goes on");
        assert!(!CONTAINED.get());
    }
}
