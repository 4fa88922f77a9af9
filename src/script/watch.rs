//! Looks at a running script every some thousand instructions: has it been killed, is it busy.

use super::prelude::stack_here;
use super::raise::Raised;
use crate::command::scripting::desk::Run;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// What is done while a script is busy: others that wait are answered, in valkey's words or in redis'.
type WhileBusy = Box<dyn Fn(&Run, bool)>;

/// The present run of an engine, as the hook sees it.
pub(super) struct Watch {
    run: RefCell<Option<Arc<Run>>>,
    limit_ms: Cell<u64>,
    while_busy: Option<WhileBusy>,
    valkey: Cell<bool>,
    stack_base: usize,
}

impl Watch {
    /// For an engine of this thread. Without `while_busy` a script is ended when it becomes busy.
    pub(super) fn new(while_busy: Option<WhileBusy>) -> Self {
        Self {
            run: RefCell::default(),
            limit_ms: Cell::new(0),
            while_busy,
            valkey: Cell::new(false),
            stack_base: stack_here(),
        }
    }

    /// About where this thread's stack began.
    pub(super) fn stack_base(&self) -> usize {
        self.stack_base
    }

    /// From now on this runs, and is busy after so many milliseconds (0: never).
    pub(super) fn begin(&self, run: Arc<Run>, limit_ms: u64, valkey: bool) {
        self.run.replace(Some(run));
        self.limit_ms.set(limit_ms);
        self.valkey.set(valkey);
    }

    /// Nothing runs any more.
    pub(super) fn end(&self) {
        self.run.replace(None);
    }

    /// An error if the script must end now.
    pub(super) fn look(&self) -> Result<(), Raised> {
        let run = self.run.borrow();
        let Some(run) = run.as_deref() else { return Ok(()) };
        let limit_ms = u128::from(self.limit_ms.get());
        if limit_ms > 0 && run.elapsed().as_millis() >= limit_ms {
            match &self.while_busy {
                Some(answer_others) if !run.is_loading() => answer_others(run, self.valkey.get()),
                _ => run.kill(),
            }
        }
        if run.is_killed() { Err(Raised::Killed(self.killed_text(run))) } else { Ok(()) }
    }

    /// As the master's family words it.
    fn killed_text(&self, run: &Run) -> &'static str {
        match (self.valkey.get(), run.is_eval) {
            (false, _) => "ERR Script killed by user with SCRIPT KILL...",
            (true, true) => "ERR Script killed by user with SCRIPT KILL.",
            (true, false) => "ERR Script killed by user with FUNCTION KILL.",
        }
    }
}
