//! Settings that have worked, kept for a start at which the present ones do not.

use std::io::Write;
use std::path::Path;

use super::{Config, ConfigError, DEFAULT_FILE, settings};

impl Config {
    /// As [`Config::load`]. Where that fails and an earlier start has left its settings (see
    /// [`keep_as_last_good`]), these, and what is wrong with the present ones.
    pub fn load_or_last_good(
        file: Option<&Path>,
        last_good: Option<&Path>,
    ) -> Result<(Self, Option<ConfigError>), ConfigError> {
        let problem = match Self::load(file) {
            Ok(config) => return Ok((config, None)),
            Err(problem) => problem,
        };
        // The last good settings may not fit either, where it is the environment that is wrong: then what is
        // wrong with the present ones is what is to be said.
        match last_good
            .filter(|last_good| last_good.is_file())
            .map(|last_good| Self::load(Some(last_good)))
        {
            Some(Ok(config)) => Ok((config, Some(problem))),
            _ => Err(problem),
        }
    }

    /// The last good settings, where they are others than the present ones: for when these are valid, and it cannot
    /// be started with them.
    pub fn other_last_good(file: Option<&Path>, last_good: Option<&Path>) -> Option<Self> {
        let last_good = last_good.filter(|last_good| last_good.is_file())?;
        let present = std::fs::read(file.unwrap_or(Path::new(DEFAULT_FILE))).unwrap_or_default();
        if std::fs::read(last_good).ok()? == present {
            return None;
        }
        Self::load(Some(last_good)).ok()
    }
}

impl ConfigError {
    /// Of settings that are valid and do not work: with the place that has set the key.
    pub fn found_at_start(self, file: Option<&Path>) -> Self {
        self.found_in(&settings(file))
    }
}

/// Copies settings with which a gateway has started to where [`Config::load_or_last_good`] looks for them. Whole
/// or not at all, and for the gateway's eyes only: there may be passwords in it.
pub fn keep_as_last_good(file: Option<&Path>, last_good: &Path) -> std::io::Result<()> {
    let file = file.unwrap_or(Path::new(DEFAULT_FILE));
    let settings = match std::fs::read(file) {
        Ok(settings) => settings,
        // The environment alone has made the configuration.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    // A card that is written at every start for nothing wears.
    if std::fs::read(last_good).is_ok_and(|kept| kept == settings) {
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
    fn bad_settings_leave_the_last_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (file, last_good) = (
            folder.path().join("gateway.toml"),
            folder.path().join("last-good.toml"),
        );
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let load = || Config::load_or_last_good(Some(&file), Some(&last_good));
        write("store = \"Paris 1\"");
        assert!(
            load().unwrap_err().to_string().contains("store"),
            "there is nothing to fall back to"
        );
        write("store = \"paris-1\"");
        let (config, problem) = load().unwrap();
        assert!(config.store == "paris-1" && problem.is_none());
        keep_as_last_good(Some(&file), &last_good).unwrap();
        for broken in [
            "store = \"Paris 1\"",
            "store = paris-2",
            "",
            "stroe = \"paris-2\"",
        ] {
            write(broken);
            let (config, problem) = load().unwrap();
            // An empty file is no error: it asks for the defaults.
            let expected = if broken.is_empty() { "shop-1" } else { "paris-1" };
            assert_eq!(
                (config.store.as_str(), problem.is_some()),
                (expected, !broken.is_empty()),
                "{broken}"
            );
        }
        // These are valid; whether they work the start says.
        write("store = \"paris-2\"");
        let other = || Config::other_last_good(Some(&file), Some(&last_good));
        assert_eq!(other().map(|config| config.store).as_deref(), Some("paris-1"));
        write("store = \"paris-1\"");
        assert!(other().is_none(), "they are the same");
        std::fs::remove_file(&file).unwrap();
        assert!(load().unwrap().1.unwrap().to_string().contains("no such file"));
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&last_good).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "it may hold passwords");
    }
}
