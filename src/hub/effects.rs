//! What a batch of the stream makes others hear: collected while the data changes, delivered in order when the
//! gate is left.

use super::{Hub, Kind};
use crate::clock::UnixMs;

/// The effects of one batch. While nobody wants to hear anything, adding one costs a branch.
#[derive(Debug, Default)]
pub struct Effects {
    wanted: bool,
    list: Vec<Effect>,
}

#[derive(Debug)]
enum Effect {
    Message { kind: Kind, channel: Box<[u8]>, message: Box<[u8]> },
}

impl Effects {
    /// PUBLISH or SPUBLISH of the master.
    pub fn message(&mut self, kind: Kind, channel: &[u8], message: &[u8]) {
        if self.wanted {
            self.list.push(Effect::Message { kind, channel: channel.into(), message: message.into() });
        }
    }
}

impl Hub {
    /// Prepares for a batch: what somebody wants to hear now is collected. Costs one relaxed load.
    pub fn begin(&self, effects: &mut Effects) {
        effects.wanted = self.is_listened_to();
    }

    /// Delivers what a batch has collected, in order; to be called outside of the gate.
    pub fn deliver(&self, effects: &mut Effects, now: UnixMs) {
        for effect in effects.list.drain(..) {
            match effect {
                Effect::Message { kind, channel, message } => drop(self.publish(kind, &channel, &message, now)),
            }
        }
    }
}
