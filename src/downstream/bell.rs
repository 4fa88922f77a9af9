//! Wakes every task of a thread that listens.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Rung when there may be something new for anybody.
#[derive(Debug, Default)]
pub(super) struct Bell {
    strokes: Cell<u64>,
    listeners: RefCell<Vec<Waker>>,
}

/// What one task has heard of a bell. A task asks with the same waker until it is woken.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: u64,
    /// It is among the listeners since this stroke.
    listens: Option<u64>,
}

impl Bell {
    /// Wakes all who listen.
    pub(super) fn ring(&self) {
        self.strokes.set(self.strokes.get() + 1);
        for waker in self.listeners.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Ready if it was rung since this ear last heard it; else the task is woken when it is.
    pub(super) fn poll(&self, cx: &mut Context<'_>, ear: &mut Ear) -> Poll<()> {
        let strokes = self.strokes.get();
        if ear.heard != strokes {
            ear.heard = strokes;
            return Poll::Ready(());
        }
        if ear.listens != Some(strokes) {
            ear.listens = Some(strokes);
            self.listeners.borrow_mut().push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ear_hears_a_stroke_once() {
        let bell = Bell::default();
        let (mut a, mut b) = (Ear::default(), Ear::default());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(bell.poll(&mut cx, &mut a).is_pending() && bell.poll(&mut cx, &mut a).is_pending());
        assert_eq!(bell.listeners.borrow().len(), 1, "however often it asks");
        bell.ring();
        bell.ring();
        assert!(bell.poll(&mut cx, &mut a).is_ready() && bell.poll(&mut cx, &mut a).is_pending());
        assert!(bell.poll(&mut cx, &mut b).is_ready() && bell.poll(&mut cx, &mut b).is_pending());
    }
}
