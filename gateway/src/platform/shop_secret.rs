//! The file with the shop's secret, next to the journal: `journal.db` has `journal-secret`.
//!
//! It contains the recovery code as text, so that a person can copy it and damage to the file is detected. Only the
//! gateway's user can read it. A gateway that loses it cannot tell which of its entries are in Kafka, so it sends
//! nothing until the secret is restored.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use comptoir_core::shop_secret::{CodeError, ShopSecret};
use rustix::fs::fchown;
use rustix::process::{Gid, Uid, geteuid};

/// Begins the line that names the secret that this one replaces.
const REPLACES: &str = "replaces: ";
const HEADER: &str = "\
# The recovery code of this shop. With it, a new computer continues the shop; without it, nobody can tell the shop's
# records in Kafka from forged ones. Keep a copy in a safe place, and show it to nobody. See gateway recovery-code --help.
";

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    pub secret: ShopSecret,
    /// The public name of the lost secret that this one replaces.
    pub replaces: Option<String>,
}

/// Why the file could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFileError {
    #[error("{} cannot be read: {problem}", path.display())]
    Read { path: PathBuf, problem: String },
    #[error("{} does not contain a recovery code: {problem}", path.display())]
    Malformed { path: PathBuf, problem: CodeError },
    #[error("{} cannot be written: {problem}", path.display())]
    Write { path: PathBuf, problem: String },
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
}

/// Why the gateway has no usable secret. Shown to people, so each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    #[error(
        "the shop's secret {} is missing, so the gateway cannot tell what of its journal is in Kafka, and sends nothing. \
         Restore it from the recovery code with `gateway recovery-code --restore`, and restart the gateway. If the code \
         is lost too, `gateway recovery-code --replace` makes a new secret",
        .0.display()
    )]
    Missing(PathBuf),
    #[error(
        "{} is not the secret that this journal was used with, so the gateway cannot tell what of its journal is in Kafka, \
         and sends nothing. Restore the right one with `gateway recovery-code --restore --force`, and restart the gateway. \
         If its code is lost, `gateway recovery-code --replace --force` makes a new secret",
        .0.display()
    )]
    OfAnotherShop(PathBuf),
    #[error(
        "{0}. The gateway sends nothing to Kafka without the shop's secret; correct this, or restore the file with \
         `gateway recovery-code --restore --force`, and restart the gateway"
    )]
    File(#[from] SecretFileError),
}

/// How a start must treat the secret.
#[derive(Debug, PartialEq, Eq)]
pub enum Startup {
    /// The journal was used with this secret before.
    Known(ShopSecret),
    /// The journal must record that it is now used with this secret.
    New(ShopSecret),
    /// Like `New`, replacing a lost secret.
    Replacement(ShopSecret),
}

/// The path of the secret's file for this journal.
pub fn path_of(journal: &Path) -> PathBuf {
    let stem = journal.file_stem().unwrap_or_default().to_string_lossy();
    journal.with_file_name(format!("{stem}-secret"))
}

/// Reads the secret, or creates one if neither the file nor the journal has one. `known` is the public name of the
/// secret that the journal was used with.
///
/// # Errors
/// The secret is missing, unusable or not the journal's, or a new one cannot be written.
pub fn start(journal: &Path, known: Option<&str>) -> Result<Startup, SecretProblem> {
    let path = path_of(journal);
    if let Some(found) = find(&path, known)? {
        return Ok(found);
    }
    let secret = generate();
    let file = SecretFile {
        secret: secret.clone(),
        replaces: None,
    };
    write(&path, &file, false)?;
    Ok(Startup::New(secret))
}

/// Reads the secret at `path`. `None` if neither the file nor the journal has one. `known` is the public name of the
/// secret that the journal was used with.
///
/// # Errors
/// The file is missing or unusable, or contains another secret.
pub fn find(path: &Path, known: Option<&str>) -> Result<Option<Startup>, SecretProblem> {
    let Some(file) = read(path)? else {
        return match known {
            Some(_) => Err(SecretProblem::Missing(path.to_owned())),
            None => Ok(None),
        };
    };
    match known {
        None => Ok(Some(Startup::New(file.secret))),
        Some(known) if file.secret.id() == known => Ok(Some(Startup::Known(file.secret))),
        Some(known) if file.replaces.as_deref() == Some(known) => Ok(Some(Startup::Replacement(file.secret))),
        Some(_) => Err(SecretProblem::OfAnotherShop(path.to_owned())),
    }
}

/// Creates a secret from cryptographically secure random bytes.
pub fn generate() -> ShopSecret {
    // `rand::random` is a cryptographically secure generator seeded by the operating system.
    ShopSecret::new(rand::random())
}

/// Reads the file; `None` if it does not exist.
///
/// # Errors
/// The file cannot be read, or contains no recovery code.
pub fn read(path: &Path) -> Result<Option<SecretFile>, SecretFileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(SecretFileError::Read {
                path: path.to_owned(),
                problem: error.to_string(),
            });
        }
    };
    let mut replaces = None;
    let mut code = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix(REPLACES) {
            Some(id) => replaces = Some(id.trim().to_owned()),
            None => code.push_str(line),
        }
    }
    let secret = ShopSecret::from_code(&code).map_err(|problem| SecretFileError::Malformed {
        path: path.to_owned(),
        problem,
    })?;
    Ok(Some(SecretFile { secret, replaces }))
}

/// Writes the file, readable only by its owner, atomically and with fsync. If root writes it, the owner of its folder
/// (the gateway's user) becomes its owner.
///
/// # Errors
/// The file cannot be written, or exists and `overwrite` is false.
pub fn write(path: &Path, file: &SecretFile, overwrite: bool) -> Result<(), SecretFileError> {
    let failed = |problem: std::io::Error| SecretFileError::Write {
        path: path.to_owned(),
        problem: problem.to_string(),
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed)?;
    // A temporary file is readable only by its owner from the start.
    let mut part = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut text = format!("{HEADER}{}\n", file.secret.code());
    if let Some(replaces) = &file.replaces {
        text.push_str(&format!("{REPLACES}{replaces}\n"));
    }
    part.write_all(text.as_bytes()).map_err(failed)?;
    if geteuid().is_root() {
        let owner = fs::metadata(folder).map_err(failed)?;
        let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        fchown(part.as_file(), Some(user), Some(group)).map_err(|error| failed(error.into()))?;
    }
    part.as_file().sync_all().map_err(failed)?;
    match overwrite {
        true => part.persist(path).map_err(|error| failed(error.error))?,
        false => part.persist_noclobber(path).map_err(|error| match error.error {
            error if error.kind() == std::io::ErrorKind::AlreadyExists => {
                SecretFileError::Exists(path.to_owned())
            }
            error => failed(error),
        })?,
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_start_makes_a_secret_and_later_starts_use_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let Ok(Startup::New(secret)) = start(&journal, None) else {
            panic!("no secret was made");
        };
        let file = path_of(&journal);
        assert_eq!(file, folder.path().join("journal-secret"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let id = secret.id();
        assert_eq!(start(&journal, Some(&id)), Ok(Startup::Known(secret.clone())));
        // A power cut came between writing the file and the journal, or the journal is new.
        assert_eq!(start(&journal, None), Ok(Startup::New(secret)));
    }

    #[test]
    fn a_journal_whose_secret_is_lost_gets_no_other_one_silently() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let lost = generate();
        let path = path_of(&journal);
        assert_eq!(
            start(&journal, Some(&lost.id())),
            Err(SecretProblem::Missing(path.clone()))
        );
        assert!(!path.exists(), "a new secret would look like the right one");
        let mut other = SecretFile {
            secret: generate(),
            replaces: None,
        };
        write(&path, &other, false).unwrap();
        assert_eq!(
            start(&journal, Some(&lost.id())),
            Err(SecretProblem::OfAnotherShop(path.clone()))
        );
        assert_eq!(
            write(&path, &other, false),
            Err(SecretFileError::Exists(path.clone()))
        );
        other.replaces = Some(lost.id());
        write(&path, &other, true).unwrap();
        assert_eq!(
            start(&journal, Some(&lost.id())),
            Ok(Startup::Replacement(other.secret))
        );
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal-secret");
        for text in ["", "# only a comment\n", "0000-0000\n"] {
            fs::write(&path, text).unwrap();
            let read = read(&path);
            assert!(matches!(read, Err(SecretFileError::Malformed { .. })), "{read:?}");
            assert!(start(&folder.path().join("journal.db"), None).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
