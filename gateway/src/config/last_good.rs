//! The fallback: a copy of the last configuration file that the gateway started with.

use std::io::Write;
use std::path::Path;

use super::{Config, ConfigError, DEFAULT_FILE, SectionCheck, settings};

impl Config {
    /// Like [`Config::load`]. If the file is invalid, loads the copy that [`save_as_last_good`] made, and returns the
    /// error as well.
    ///
    /// # Errors
    /// The file is invalid, and there is no copy or the copy is invalid too. The error is about the file.
    pub fn load_with_fallback(
        file: Option<&Path>,
        last_good: Option<&Path>,
        checks: &[SectionCheck],
    ) -> Result<(Self, Option<ConfigError>), ConfigError> {
        let problem = match Self::load(file, checks) {
            Ok(config) => return Ok((config, None)),
            Err(problem) => problem,
        };
        // If the environment is invalid, the copy fails too; the error of the present configuration is the one to
        // report.
        match last_good
            .filter(|last_good| last_good.is_file())
            .map(|last_good| Self::load(Some(last_good), checks))
        {
            Some(Ok(config)) => Ok((config, Some(problem))),
            _ => Err(problem),
        }
    }

    /// The fallback, if it differs from the present file. Used when the configuration is valid but the gateway cannot
    /// start with it: an identical file would only fail again.
    pub fn differing_last_good(
        file: Option<&Path>,
        last_good: Option<&Path>,
        checks: &[SectionCheck],
    ) -> Option<Self> {
        let last_good = last_good.filter(|last_good| last_good.is_file())?;
        let present = std::fs::read(file.unwrap_or(Path::new(DEFAULT_FILE))).unwrap_or_default();
        if std::fs::read(last_good).ok()? == present {
            return None;
        }
        Self::load(Some(last_good), checks).ok()
    }
}

impl ConfigError {
    /// Adds the source of the key to an error that was only found when the gateway started.
    #[must_use]
    pub fn with_place(self, file: Option<&Path>) -> Self {
        self.located_in(&settings(file))
    }
}

/// Copies the configuration file to `last_good`, for [`Config::load_with_fallback`]. The copy is replaced atomically,
/// and readable only by the gateway's user, because it may contain passwords.
///
/// # Errors
/// The file cannot be read, or the copy cannot be written.
pub fn save_as_last_good(file: Option<&Path>, last_good: &Path) -> std::io::Result<()> {
    let file = file.unwrap_or(Path::new(DEFAULT_FILE));
    let settings = match std::fs::read(file) {
        Ok(settings) => settings,
        // Without a file, the configuration comes from the environment alone.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    // Do not rewrite an identical copy at every start: that wears out an SD card.
    if std::fs::read(last_good).is_ok_and(|copy| copy == settings) {
        return Ok(());
    }
    let folder = last_good.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(&settings)?;
    new.as_file().sync_all()?;
    new.persist(last_good)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_file_falls_back_to_the_last_good_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (file, last_good) = (
            folder.path().join("gateway.toml"),
            folder.path().join("last-good.toml"),
        );
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let load = || Config::load_with_fallback(Some(&file), Some(&last_good), &[]);
        write("store = \"Paris 1\"");
        assert!(
            load().unwrap_err().to_string().contains("store"),
            "there is nothing to fall back to"
        );
        write("store = \"paris-1\"");
        let (config, problem) = load().unwrap();
        assert!(config.store == "paris-1" && problem.is_none());
        save_as_last_good(Some(&file), &last_good).unwrap();
        for broken in [
            "store = \"Paris 1\"",
            "store = paris-2",
            "",
            "stroe = \"paris-2\"",
        ] {
            write(broken);
            let (config, problem) = load().unwrap();
            // An empty file is valid: it selects the defaults.
            let expected = if broken.is_empty() { "shop-1" } else { "paris-1" };
            assert_eq!(
                (config.store.as_str(), problem.is_some()),
                (expected, !broken.is_empty()),
                "{broken}"
            );
        }
        // A valid file is used even if it differs from the copy.
        write("store = \"paris-2\"");
        let other = || Config::differing_last_good(Some(&file), Some(&last_good), &[]);
        assert_eq!(other().map(|config| config.store).as_deref(), Some("paris-1"));
        write("store = \"paris-1\"");
        assert!(other().is_none(), "the copy does not differ");
        std::fs::remove_file(&file).unwrap();
        assert!(load().unwrap().1.unwrap().to_string().contains("no such file"));
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&last_good).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "the copy may contain passwords");
    }
}
