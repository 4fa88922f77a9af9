//! One user: who may log in under this name, and what its clients may do.

use super::password::Hash;
use super::rule::RuleError;
use super::selector::Selector;
use crate::dataset::Dialect;

/// A user. Never changed in place: clients hold the one that they were last told of.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: Box<[u8]>,
    on: bool,
    nopass: bool,
    payloads: Payloads,
    passwords: Vec<Hash>,
    root: Selector,
    selectors: Vec<Selector>,
}

/// `sanitize-payload` and its opposite: kept and shown, without another meaning here (every payload is checked).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payloads {
    Checked,
    Trusted,
}

impl User {
    /// A user that may do nothing, not even log in. `all_channels`: as `acl-pubsub-default` says.
    pub(super) fn new(name: &[u8], all_channels: bool) -> Self {
        Self {
            name: name.into(),
            on: false,
            nopass: false,
            payloads: Payloads::Checked,
            passwords: Vec::new(),
            root: Selector::new(all_channels),
            selectors: Vec::new(),
        }
    }

    /// The user of clients that did not log in, as it is unless configured: everything, without a password.
    pub(super) fn default_user() -> Self {
        let mut user = Self::new(b"default", false);
        for rule in ["on", "nopass", "~*", "&*", "+@all"] {
            user.apply(rule.as_bytes(), false).expect("these rules are well formed");
        }
        user
    }

    /// Clients of this user need not be checked at all.
    pub fn is_unlimited(&self) -> bool {
        self.root.is_unlimited()
    }

    /// Whoever connects is this user without having to say so.
    pub fn is_open(&self) -> bool {
        self.on && self.nopass
    }

    /// Any password will do.
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// Somebody may log in under this name.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// May somebody with this password log in? Takes as long for any wrong one.
    pub(super) fn accepts(&self, password: &[u8]) -> bool {
        let given = Hash::of(password);
        let known = self.passwords.iter().fold(false, |found, hash| found | hash.matches(&given));
        self.on && (self.nopass || known)
    }

    /// The selectors, the root first.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    pub(super) fn root(&self) -> &Selector {
        &self.root
    }

    /// Applies one rule. `all_channels`: what `acl-pubsub-default` says.
    pub(super) fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match rule {
            [] => return Ok(()),
            [b'>', password @ ..] => self.add_password(Hash::of(password)),
            [b'#', hash @ ..] => self.add_password(Hash::parse(hash).ok_or(RuleError::BadHash)?),
            [b'<', password @ ..] => return self.remove_password(&Hash::of(password)),
            [b'!', hash @ ..] => return self.remove_password(&Hash::parse(hash).ok_or(RuleError::BadHash)?),
            [b'(', .., b')'] => self.selectors.push(Selector::parse(rule, all_channels)?),
            _ => return self.apply_word(rule, all_channels),
        }
        Ok(())
    }

    fn apply_word(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"on" => self.on = true,
            b"off" => self.on = false,
            b"nopass" => self.set_nopass(true),
            b"resetpass" => self.set_nopass(false),
            b"sanitize-payload" => self.payloads = Payloads::Checked,
            b"skip-sanitize-payload" => self.payloads = Payloads::Trusted,
            b"clearselectors" => self.selectors.clear(),
            b"reset" => *self = Self::new(&self.name, all_channels),
            _ => return self.root.apply(rule),
        }
        Ok(())
    }

    fn set_nopass(&mut self, nopass: bool) {
        self.nopass = nopass;
        self.passwords.clear();
    }

    fn add_password(&mut self, hash: Hash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, hash: &Hash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| known == hash).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }

    /// `on`, `nopass` and the like, as a server of this dialect shows them.
    pub(super) fn flags(&self, dialect: Dialect) -> Vec<&'static str> {
        let payloads = match self.payloads {
            Payloads::Checked => dialect.shows_payload_checks().then_some("sanitize-payload"),
            Payloads::Trusted => (!matches!(dialect, Dialect::Valkey(9.., _))).then_some("skip-sanitize-payload"),
        };
        let state = if self.on { "on" } else { "off" };
        [Some(state), self.nopass.then_some("nopass"), payloads].into_iter().flatten().collect()
    }

    /// The hashes of its passwords.
    pub(super) fn hashes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.passwords.iter().map(Hash::hex)
    }

    /// `user name on ...`: rules that make this user, as ACL LIST and files have them.
    pub(super) fn describe(&self, dialect: Dialect) -> Vec<u8> {
        let mut text = [b"user ", &*self.name, b" "].concat();
        for flag in self.flags(dialect) {
            text.extend_from_slice(flag.as_bytes());
            text.push(b' ');
        }
        for hash in self.hashes() {
            text.push(b'#');
            text.extend_from_slice(hash);
            text.push(b' ');
        }
        self.root.describe(&mut text);
        for selector in &self.selectors {
            text.extend_from_slice(b" (");
            selector.describe(&mut text);
            text.push(b')');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST: Dialect = Dialect::Redis(8, 0);

    fn after(rules: &[&str]) -> Result<User, RuleError> {
        let mut user = User::new(b"u", false);
        rules.iter().try_for_each(|rule| user.apply(rule.as_bytes(), false))?;
        Ok(user)
    }

    #[test]
    fn users_are_described_as_the_servers_do() {
        let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
        let check = |rules: &[&str], dialect: Dialect, expected: &str| {
            let text = after(rules).expect("well formed").describe(dialect);
            assert_eq!(String::from_utf8_lossy(&text), expected, "{rules:?}");
        };
        check(&[], NEWEST, "user u off sanitize-payload resetchannels -@all");
        check(&[], Dialect::Redis(7, 0), "user u off resetchannels -@all");
        check(&[], Dialect::Valkey(9, 1), "user u off resetchannels -@all");
        check(&["skip-sanitize-payload"], NEWEST, "user u off skip-sanitize-payload resetchannels -@all");
        check(&["skip-sanitize-payload"], Dialect::Valkey(9, 1), "user u off resetchannels -@all");
        check(
            &["on", ">pw", ">pw", "~a*", "+get", "(~x* +get)", ""],
            Dialect::Valkey(9, 1),
            &format!("user u on #{hash} ~a* resetchannels -@all +get (~x* resetchannels -@all +get)"),
        );
        check(&["on", ">pw", "~a", "(+get)", "RESET"], Dialect::Valkey(9, 1), "user u off resetchannels -@all");
        let default = User::default_user().describe(Dialect::Valkey(9, 1));
        assert_eq!(default, b"user default on nopass ~* &* +@all");
    }

    #[test]
    fn only_an_enabled_user_with_a_right_password_is_let_in() {
        let lets_in = |rules: &[&str], password: &str| after(rules).expect("rules").accepts(password.as_bytes());
        assert!(lets_in(&["on", ">a", ">b"], "a") && lets_in(&["on", ">a", ">b"], "b"));
        assert!(!lets_in(&["on", ">a"], "b") && !lets_in(&[">a"], "a") && !lets_in(&["on"], ""));
        assert!(lets_in(&["on", "nopass"], "whatever") && !lets_in(&["off", "nopass"], "x"));
        assert!(!lets_in(&["on", "nopass", ">a"], "b") && !lets_in(&["on", ">a", "<a"], "a"));
        assert!(!lets_in(&["on", ">a", "resetpass"], "a"));
        assert_eq!(after(&["<a"]).err(), Some(RuleError::NoSuchPassword));
        assert_eq!(after(&["#12"]).err(), Some(RuleError::BadHash));
    }
}
