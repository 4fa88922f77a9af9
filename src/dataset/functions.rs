//! Function libraries as the master sent them: whole source texts, kept and passed on, not run here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Libraries by name, each its whole source text (first line `#!lua name=...`).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Functions {
    libraries: BTreeMap<Vec<u8>, Vec<u8>>,
    stamp: Stamp,
}

/// A state of the libraries, unlike any other of this process. Whoever has compiled them compares it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Stamp(u64);

impl Stamp {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed) + 1)
    }

    /// Is it the same state?
    pub fn is(self, other: Self) -> bool {
        self.0 == other.0
    }
}

impl PartialEq for Stamp {
    /// Two datasets with the same libraries are equal, however they came to them.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Stamp {}

/// Why a library could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LibraryError {
    /// The first line is not `#!ENGINE name=NAME`.
    Shebang,
    /// A library of this name exists and REPLACE was not given.
    Exists,
}

impl Functions {
    /// Adds a library under the name in its first line.
    pub fn load(&mut self, source: &[u8], replace: bool) -> Result<(), LibraryError> {
        let name = library_name(source).ok_or(LibraryError::Shebang)?;
        if !replace && self.libraries.contains_key(name) {
            return Err(LibraryError::Exists);
        }
        self.libraries.insert(name.to_vec(), source.to_vec());
        self.stamp = Stamp::next();
        Ok(())
    }

    /// Removes a library; `false` if there is none of this name.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        self.stamp = Stamp::next();
        self.libraries.remove(name).is_some()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.stamp = Stamp::next();
        self.libraries.clear();
    }

    /// Names and source texts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.libraries.iter().map(|(name, source)| (name.as_slice(), source.as_slice()))
    }

    /// Which state of the libraries this is.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Number of libraries.
    pub fn len(&self) -> usize {
        self.libraries.len()
    }

    /// No library at all.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }
}

/// The name in `#!lua name=NAME [...]`.
pub fn library_name(source: &[u8]) -> Option<&[u8]> {
    let line = source.split(|&c| c == b'\n').next()?.strip_prefix(b"#!")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let name = line.split(u8::is_ascii_whitespace).skip(1).find_map(|word| word.strip_prefix(b"name="))?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_by_the_name_in_its_first_line() {
        let mut functions = Functions::default();
        assert_eq!(functions.load(b"#!lua name=lib\nreturn 1", false), Ok(()));
        assert_eq!(functions.load(b"#!lua name=lib\nreturn 2", false), Err(LibraryError::Exists));
        assert_eq!(functions.load(b"#!lua name=lib\nreturn 2", true), Ok(()));
        assert_eq!(functions.load(b"return 2", true), Err(LibraryError::Shebang));
        assert_eq!(functions.iter().collect::<Vec<_>>(), [(&b"lib"[..], &b"#!lua name=lib\nreturn 2"[..])]);
        assert!(functions.delete(b"lib") && !functions.delete(b"lib"));
    }
}
