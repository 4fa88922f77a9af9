//! The files: what stands in them, and whether they have changed.

use super::Unusable;
use crate::config::TlsSettings;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with those between it and the CA, and its key.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// A setting with the file that it names.
pub(super) type Named<'a> = (&'static str, &'a Path);

impl Identity {
    /// Reads both files; whether they belong together shows when they are used.
    pub(super) fn read((setting, path): Named<'_>, key: Named<'_>) -> Result<Self, Unusable> {
        let chain = certificates(&read((setting, path))?)
            .map_err(|why| Unusable::new(setting, format!("{}: {why}", path.display())))?;
        if chain.is_empty() {
            return Err(Unusable::new(setting, format!("{}: no certificate (PEM) in it", path.display())));
        }
        Ok(Self { chain, key: read_key(key)? })
    }
}

fn read_key((setting, path): Named<'_>) -> Result<PrivateKeyDer<'static>, Unusable> {
    let text = read((setting, path))?;
    let why = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => return Ok(key),
        Err(_) if memchr::memmem::find(&text, b"ENCRYPTED").is_some() => {
            "the key is encrypted, which is not supported: `openssl pkey` decrypts it".to_owned()
        }
        Err(pem::Error::NoItemsFound) => "no private key (PEM) in it".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Unusable::new(setting, format!("{}: {why}", path.display())))
}

/// The CAs of both settings, each once; `None` if neither is set.
pub(super) fn authorities(settings: &TlsSettings) -> Result<Option<HashSet<CertificateDer<'static>>>, Unusable> {
    if settings.ca_cert_file.is_none() && settings.ca_cert_dir.is_none() {
        return Ok(None);
    }
    let mut found = HashSet::new();
    if let Some(path) = &settings.ca_cert_file {
        let setting = "tls-ca-cert-file";
        let fault = |why: &str| Unusable::new(setting, format!("{}: {why}", path.display()));
        found.extend(certificates(&read((setting, path))?).map_err(|why| fault(&why))?);
        if found.is_empty() {
            return Err(fault("no certificate (PEM) in it"));
        }
    }
    if let Some(folder) = &settings.ca_cert_dir {
        let setting = "tls-ca-cert-dir";
        let before = found.len();
        for path in files_of(folder).map_err(|error| unreadable(setting, folder, &error))? {
            // Other things may stand beside the CAs.
            found.extend(certificates(&read((setting, &path))?).unwrap_or_default());
        }
        if found.len() == before && before == 0 {
            return Err(Unusable::new(setting, format!("{}: no certificate (PEM) in it", folder.display())));
        }
    }
    Ok(Some(found))
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn read((setting, path): Named<'_>) -> Result<Vec<u8>, Unusable> {
    fs::read(path).map_err(|error| unreadable(setting, path, &error))
}

fn unreadable(setting: &'static str, path: &Path, error: &io::Error) -> Unusable {
    Unusable::new(setting, format!("{}: {error}", path.display()))
}

/// The files of a folder by name, and what its links to files lead to.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().filter(|path| path.is_file()).collect();
    files.sort_unstable();
    Ok(files)
}

/// By what the files of the settings are known to be unchanged: where links lead, size and times. A change that leaves
/// all of this as it was does not exist: the kernel moves the change time by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// As the files are now; to be taken before they are read, so that a change in between shows the next time.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let named = [
            &settings.cert_file,
            &settings.key_file,
            &settings.client_cert_file,
            &settings.client_key_file,
            &settings.ca_cert_file,
        ];
        let folder = settings.ca_cert_dir.as_deref().and_then(|folder| files_of(folder).ok()).unwrap_or_default();
        let paths = named.into_iter().flatten().cloned().chain(folder);
        Self(paths.map(|path| (path.clone(), Stamp::of(&path))).collect())
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn certificate(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate").cert.pem()
    }

    #[test]
    fn authorities_come_from_a_file_and_from_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        let (one, two) = (certificate("one"), certificate("two"));
        fs::write(path("bundle"), format!("# a comment\n{one}\n{two}")).expect("written");
        fs::create_dir(path("folder")).expect("made");
        fs::create_dir(path("folder/inner")).expect("made");
        fs::write(path("folder/two"), &two).expect("written");
        fs::write(path("folder/three"), certificate("three")).expect("written");
        fs::write(path("folder/README"), "not a certificate").expect("written");
        symlink("three", path("folder/link")).expect("linked");
        let check = |file: Option<&str>, folder: Option<&str>, expected: Option<usize>| {
            let settings = TlsSettings {
                ca_cert_file: file.map(path),
                ca_cert_dir: folder.map(path),
                ..TlsSettings::default()
            };
            let found = authorities(&settings).expect("usable");
            assert_eq!(found.map(|found| found.len()), expected, "{file:?} {folder:?}");
        };
        check(None, None, None);
        check(Some("bundle"), None, Some(2));
        check(None, Some("folder"), Some(2));
        check(Some("bundle"), Some("folder"), Some(3));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("empty"), "").expect("written");
        fs::write(path("cut"), &certificate("cut")[..80]).expect("written");
        fs::write(path("good"), certificate("good")).expect("written");
        fs::write(
            path("locked"),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        )
        .expect("written");
        let check = |certificate: &str, key: &str, setting: &str, why: &str| {
            let read = Identity::read(("tls-cert-file", &path(certificate)), ("tls-key-file", &path(key)));
            let fault = read.expect_err("not usable");
            assert!(fault.setting == setting && fault.why.contains(why), "{fault:?}");
        };
        check("nowhere", "good", "tls-cert-file", "No such file");
        check("empty", "good", "tls-cert-file", "no certificate");
        check("cut", "good", "tls-cert-file", "cut: ");
        check("good", "good", "tls-key-file", "no private key");
        check("good", "locked", "tls-key-file", "encrypted");
    }

    #[test]
    fn stamps_follow_links_and_change_with_the_content() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        for (folder, text) in [("v1", "same size 1"), ("v2", "same size 2")] {
            fs::create_dir(path(folder)).expect("made");
            fs::write(path(folder).join("tls.crt"), text).expect("written");
        }
        symlink("v1", path("data")).expect("linked");
        let settings = TlsSettings { cert_file: Some(path("data/tls.crt")), ..TlsSettings::default() };
        let first = Stamps::of(&settings);
        assert_eq!(first, Stamps::of(&settings));
        // As Kubernetes swaps the contents of a mounted Secret.
        symlink("v2", path("data.new")).expect("linked");
        fs::rename(path("data.new"), path("data")).expect("swapped");
        let second = Stamps::of(&settings);
        assert_ne!(first, second);
        fs::remove_file(path("v2/tls.crt")).expect("removed");
        assert_ne!(second, Stamps::of(&settings));
    }
}
