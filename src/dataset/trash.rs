//! What apply functions have dropped and what is too big to free on the link's thread: handed to the reaper.

use super::keyspace::Keyspace;
use super::value::Value;

/// Collects dropped values of one write batch.
#[derive(Debug, Default)]
pub struct Trash {
    values: Vec<Value>,
    keyspaces: Vec<Keyspace>,
}

impl Trash {
    /// Takes a dropped value; a string or nothing is freed at once, a container waits for the reaper.
    pub fn value(&mut self, value: Option<Value>) {
        match value {
            None | Some(Value::Str(..) | Value::Marked(_)) => {}
            Some(value) => self.values.push(value),
        }
    }

    /// Takes a flushed database.
    pub fn keyspace(&mut self, keyspace: Keyspace) {
        self.keyspaces.push(keyspace);
    }

    /// Frees everything; `between` is called between two short steps. A big value is one step.
    pub fn free(self, mut between: impl FnMut()) {
        for value in self.values {
            drop(value);
            between();
        }
        self.keyspaces.into_iter().for_each(|keyspace| keyspace.free(&mut between));
    }

    /// Nothing to free.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.keyspaces.is_empty()
    }
}
