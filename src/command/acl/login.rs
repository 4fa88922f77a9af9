//! As whom a connection acts: its user, as of the last look at the users.

use super::user::User;
use super::users::Users;
use std::sync::Arc;

/// The user of one connection. What is asked for each request are two flags.
#[derive(Debug)]
pub(in crate::command) struct Login {
    user: Arc<User>,
    /// Nothing that its user may ask needs to be checked.
    unlimited: bool,
    /// It may ask more than how to log in.
    authenticated: bool,
    /// It said who it is, or connected while nobody had to.
    logged_in: bool,
    /// The generation of the users that this is from.
    seen: u64,
}

impl Login {
    /// A connection that has said nothing yet.
    pub(in crate::command) fn new(users: &Users) -> Self {
        let seen = users.generation();
        let user = users.default_user();
        let open = user.is_open();
        Self { unlimited: user.is_unlimited(), user, authenticated: open, logged_in: open, seen }
    }

    /// Looks again if the users have changed. `false` if its own is gone.
    pub(in crate::command) fn follow(&mut self, users: &Users) -> bool {
        let generation = users.generation();
        generation == self.seen || self.look_again(users, generation)
    }

    #[cold]
    fn look_again(&mut self, users: &Users, generation: u64) -> bool {
        self.seen = generation;
        let user = users.get(&self.user.name);
        let there = user.is_some();
        self.logged_in &= there;
        self.put_on(user.unwrap_or_else(|| users.default_user()), users);
        there
    }

    /// It has logged in as this user.
    pub(in crate::command) fn log_in(&mut self, user: Arc<User>, users: &Users) {
        self.logged_in = true;
        self.put_on(user, users);
    }

    fn put_on(&mut self, user: Arc<User>, users: &Users) {
        self.unlimited = user.is_unlimited();
        self.user = user;
        // As redis: while the default user is open nobody has to log in.
        self.authenticated = self.logged_in || users.default_user().is_open();
    }

    pub(in crate::command) fn user(&self) -> &Arc<User> {
        &self.user
    }

    pub(in crate::command) fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    pub(in crate::command) fn is_authenticated(&self) -> bool {
        self.authenticated
    }
}
