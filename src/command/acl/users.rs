//! All users, live: whoever changes one puts a new one in its place and counts the generation up; sessions compare
//! generations once a batch and fetch their user anew.

use super::file;
use super::log::{Event, Log};
use super::rule::merge_selectors;
use super::selector::has_spaces;
use super::user::User;
use crate::config::{Config, LiveConfig, Secret, UserChange};
use crate::dataset::Dialect;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The users by name.
pub(super) type UserMap = BTreeMap<Box<[u8]>, Arc<User>>;

/// What stands in the configuration file for each user.
type Lines = BTreeMap<Box<[u8]>, Vec<u8>>;

/// In these words users stand in the configuration file: each family's servers read them.
const FILE_DIALECT: Dialect = Dialect::Redis(8, 0);

/// The users, and what was refused to them.
#[derive(Debug)]
pub struct Users {
    users: Mutex<UserMap>,
    generation: AtomicU64,
    config: Arc<LiveConfig>,
    /// As the configuration file has them: what the start read, or CONFIG REWRITE wrote last.
    written: Mutex<Lines>,
    /// What ACL LOG shows.
    pub log: Log,
}

/// The users that the settings name are malformed: what is wrong, without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUsers(String);

impl std::fmt::Display for BadUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUsers {}

impl Users {
    /// The users that the settings name: the default one with `requirepass`, those of `user` lines, or those of
    /// `aclfile`. An error says which line is wrong.
    pub fn load(config: &Arc<LiveConfig>) -> Result<Self, BadUsers> {
        let settings = config.get();
        let mut users = only_default(&settings);
        if settings.aclfile.is_some() && !settings.users.is_empty() {
            return Err(BadUsers(
                "users are defined in the configuration file, and aclfile is set too: keep one of both".into(),
            ));
        }
        for line in &settings.users {
            let words: Vec<&[u8]> = line.words().collect();
            let user = from_rules(&words, settings.acl_pubsub_default.is_all()).map_err(BadUsers)?;
            users.insert(user.name.clone(), Arc::new(user));
        }
        if let Some(path) = &settings.aclfile {
            users = read_file(path, &settings).map_err(BadUsers)?;
        }
        for user in users.values().filter(|user| !user.is_on()) {
            let name = String::from_utf8_lossy(&user.name);
            tracing::info!(user = %name, "the user is disabled: there is no 'on' in its rules");
        }
        Ok(Self {
            written: Mutex::new(lines(&users, &settings)),
            users: Mutex::new(users),
            generation: AtomicU64::new(0),
            config: Arc::clone(config),
            log: Log::default(),
        })
    }

    /// Counts up with every change. Costs a load of a line that is rarely written.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.lock().get(name).cloned()
    }

    /// The user of clients that did not log in. It cannot be removed.
    pub fn default_user(&self) -> Arc<User> {
        self.get(b"default").unwrap_or_else(|| Arc::new(User::new(b"default", false)))
    }

    /// All users by name.
    pub fn all(&self) -> Vec<Arc<User>> {
        self.users.lock().values().cloned().collect()
    }

    /// The user of this name, if the password is one of its own.
    pub fn log_in(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        self.get(name).filter(|user| user.accepts(password))
    }

    /// ACL SETUSER: all rules, or none and the reason. Answers the user before and after.
    pub(super) fn set(&self, name: &[u8], rules: &[&[u8]]) -> Result<(Option<Arc<User>>, Arc<User>), String> {
        let all_channels = self.config.get().acl_pubsub_default.is_all();
        let rules = merge_selectors(rules).map_err(|first| {
            format!("Unmatched parenthesis in acl selector starting at '{}'.", String::from_utf8_lossy(&first))
        })?;
        let mut users = self.users.lock();
        let before = users.get(name).cloned();
        let mut user = before.as_deref().cloned().unwrap_or_else(|| User::new(name, all_channels));
        for rule in &rules {
            user.apply(rule, all_channels).map_err(|why| {
                format!("Error in ACL SETUSER modifier '{}': {why}", String::from_utf8_lossy(rule))
            })?;
        }
        let user = Arc::new(user);
        users.insert(name.into(), Arc::clone(&user));
        drop(users);
        self.changed();
        Ok((before, user))
    }

    /// ACL DELUSER of one user; `false` if there is none.
    pub(super) fn remove(&self, name: &[u8]) -> bool {
        let gone = self.users.lock().remove(name).is_some();
        self.changed();
        gone
    }

    /// `requirepass` was set: it is the default user's only password; without one the user needs none.
    pub fn set_default_password(&self, password: Option<&Secret>) {
        let mut user = User::clone(&self.default_user());
        set_password(&mut user, password);
        self.users.lock().insert(b"default"[..].into(), Arc::new(user));
        self.changed();
    }

    /// ACL LOAD: all users of the file take the place of the present ones, or none does and the answer says why.
    /// Answers the users before.
    pub(super) fn reload(&self, path: &Path) -> Result<UserMap, String> {
        let users = read_file(path, &self.config.get())?;
        let before = std::mem::replace(&mut *self.users.lock(), users);
        self.changed();
        Ok(before)
    }

    /// ACL SAVE.
    pub(super) fn save(&self, path: &Path, dialect: Dialect) -> std::io::Result<()> {
        let lines: Vec<Vec<u8>> = self.all().iter().map(|user| user.describe(dialect)).collect();
        file::save(path, &lines)
    }

    /// CONFIG REWRITE: `user` lines that have changed since the file was read or written, `None` for users that are gone.
    /// None with an `aclfile`, which ACL SAVE writes.
    pub fn rewrite(&self) -> Vec<UserChange> {
        let settings = self.config.get();
        if settings.aclfile.is_some() {
            return Vec::new();
        }
        let (now, written) = (lines(&self.users.lock(), &settings), self.written.lock());
        let changed = now.iter().filter(|(name, line)| written.get(*name) != Some(line));
        let changed = changed.map(|(name, line)| UserChange { name: name.to_vec(), line: Some(line.clone()) });
        let gone = written.keys().filter(|name| !now.contains_key(*name));
        changed.chain(gone.map(|name| UserChange { name: name.to_vec(), line: None })).collect()
    }

    /// The file has the users of now.
    pub fn set_written(&self) {
        let now = lines(&self.users.lock(), &self.config.get());
        *self.written.lock() = now;
    }

    /// Counts and logs what was refused.
    pub(super) fn refused(&self, event: Event) {
        self.log.add(event, self.config.get().acllog_max_len);
    }
}

/// The default user as `requirepass` makes it, alone.
fn only_default(settings: &Config) -> UserMap {
    let mut user = User::default_user();
    if settings.requirepass.is_some() {
        set_password(&mut user, settings.requirepass.as_ref());
    }
    BTreeMap::from([(user.name.clone(), Arc::new(user))])
}

/// The users' lines. The default user has none where `requirepass` alone makes it: its password may come from elsewhere.
fn lines(users: &UserMap, settings: &Config) -> Lines {
    let of = |user: &Arc<User>| user.describe(FILE_DIALECT);
    let as_set: Vec<_> = only_default(settings).values().map(of).collect();
    let lines = users.iter().map(|(name, user)| (name.clone(), of(user)));
    lines.filter(|(_, line)| !as_set.contains(line)).collect()
}

fn set_password(user: &mut User, password: Option<&Secret>) {
    let rule = password.map_or_else(|| b"nopass".to_vec(), |password| [b">", password.reveal()].concat());
    for rule in [&b"resetpass"[..], &rule] {
        user.apply(rule, false).expect("rules about passwords are well formed");
    }
}

/// A file that does not name the default user leaves it as `requirepass` makes it: real servers open it for everybody.
fn read_file(path: &Path, settings: &Config) -> Result<UserMap, String> {
    let mut users = file::load(path, settings.acl_pubsub_default.is_all())?;
    for (name, user) in only_default(settings) {
        users.entry(name).or_insert(user);
    }
    Ok(users)
}

/// A user from the words behind `user` in the configuration file: its name and its rules.
fn from_rules(words: &[&[u8]], all_channels: bool) -> Result<User, String> {
    let (name, rules) = words.split_first().ok_or("user: a name is missing")?;
    let shown = String::from_utf8_lossy(name);
    if has_spaces(name) {
        return Err(format!("user {shown}: spaces are not allowed in names"));
    }
    let rules = merge_selectors(rules).map_err(|_| format!("user {shown}: a parenthesis is not closed"))?;
    let mut user = User::new(name, all_channels);
    for rule in &rules {
        user.apply(rule, all_channels).map_err(|why| format!("user {shown}: {}{why}", quoted(rule)))?;
    }
    Ok(user)
}

/// A rule for a message, unless it is or may be a password.
fn quoted(rule: &[u8]) -> String {
    match rule {
        [b'+' | b'-' | b'~' | b'%' | b'&' | b'(', ..] => format!("'{}': ", String::from_utf8_lossy(rule)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    fn users(settings: &[(&str, &str)]) -> Result<Users, BadUsers> {
        let live = Arc::new(LiveConfig::new(Config::default()));
        live.change(|config| {
            for (name, value) in settings {
                let setting = Setting::find(name).unwrap_or_else(|| panic!("{name}"));
                setting.read_text(config, value.as_bytes()).unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        });
        Users::load(&live)
    }

    #[test]
    fn a_refused_rule_changes_nothing_and_a_taken_one_counts_up() {
        let users = users(&[]).expect("the default user");
        let (before, after) = users.set(b"u", &[b"on", b">a", b"(~x", b"+get)"]).expect("well formed");
        assert!(before.is_none() && after.selectors().count() == 2);
        let seen = users.generation();
        assert_eq!(
            users.set(b"u", &[b"off", b"+nosuch"]).err().as_deref(),
            Some("Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL")
        );
        assert!(users.set(b"u", &[b"(~a"]).is_err());
        assert_eq!(users.generation(), seen);
        assert!(users.log_in(b"u", b"a").is_some() && users.log_in(b"u", b"b").is_none());
        assert!(users.remove(b"u") && !users.remove(b"u") && users.generation() > seen);
    }

    #[test]
    fn requirepass_is_the_password_of_the_default_user() {
        let users = users(&[("requirepass", "sesame")]).expect("the default user");
        assert!(!users.default_user().is_open());
        assert!(users.log_in(b"default", b"sesame").is_some() && users.log_in(b"default", b"x").is_none());
        users.set_default_password(None);
        assert!(users.default_user().is_open());
        users.set_default_password(Some(&Secret::new("other")));
        assert!(users.log_in(b"default", b"other").is_some() && users.log_in(b"default", b"sesame").is_none());
    }

    #[test]
    fn the_configuration_file_is_told_of_the_users_that_changed() {
        let users = users(&[("requirepass", "sesame")]).expect("the default user");
        let changed = |expected: &[(&str, Option<&str>)]| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let found = users
                .rewrite()
                .into_iter()
                .map(|change| (text(&change.name), change.line.map(|line| text(&line))));
            let expected = expected.iter().map(|(name, line)| ((*name).to_owned(), line.map(str::to_owned)));
            assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        };
        users.set_default_password(Some(&Secret::new("sesame")));
        changed(&[]);
        users.set(b"u", &[b"on", b"nopass", b"+get"]).expect("well formed");
        users.set(b"default", &[b"-config"]).expect("well formed");
        let line = "user u on nopass sanitize-payload resetchannels -@all +get";
        let default = users.default_user().describe(FILE_DIALECT);
        changed(&[("default", std::str::from_utf8(&default).ok()), ("u", Some(line))]);
        users.set_written();
        changed(&[]);
        users.remove(b"u");
        changed(&[("u", None)]);
    }

    #[test]
    fn a_file_replaces_all_users_or_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("users.acl");
        std::fs::write(&path, "user a on >x ~* +@all\n\nuser b off\n").expect("written");
        let settings = [("aclfile", path.to_str().expect("UTF-8")), ("requirepass", "sesame")];
        let users = users(&settings).expect("well formed");
        assert_eq!(users.all().len(), 3);
        assert!(!users.default_user().is_open(), "requirepass holds where the file is silent");
        std::fs::write(&path, "user a on +nosuch\nuser default on nopass +@all\n").expect("written");
        assert!(users.reload(&path).is_err());
        assert_eq!(users.all().len(), 3);
        std::fs::write(&path, "user default on nopass +@all\n").expect("written");
        assert_eq!(users.reload(&path).expect("well formed").len(), 3);
        assert!(users.all().len() == 1 && users.default_user().is_open());
        users.set(b"c", &[b"on", b"+get", b"(~x +set)"]).expect("well formed");
        users.save(&path, Dialect::Redis(8, 0)).expect("saved");
        let saved = std::fs::read_to_string(&path).expect("read");
        assert!(
            saved.contains("user c on sanitize-payload resetchannels -@all +get (~x resetchannels -@all +set)\n")
        );
        assert_eq!(users.reload(&path).expect("what was saved can be loaded").len(), 2);
    }
}
