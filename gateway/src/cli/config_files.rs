//! Loads the configuration for a subcommand, falling back to the last one that started.

use std::process::ExitCode;

use crate::app::SECTION_CHECKS;
use crate::config::{Config, ConfigError};

use super::INVALID_CONFIGURATION;
use super::arguments::ConfigArguments;

/// A configuration that is ready for use.
pub struct LoadedConfig {
    pub config: Config,
    /// Why the fallback is used instead of the present configuration.
    pub problem: Option<ConfigError>,
}

impl ConfigArguments {
    /// Loads the configuration, or the fallback if the configuration is invalid.
    ///
    /// # Errors
    /// The configuration is invalid and there is no usable fallback. The error has already been printed; the exit code
    /// reports it.
    pub fn load(&self) -> Result<LoadedConfig, ExitCode> {
        Config::load_with_fallback(self.config.as_deref(), self.last_good.as_deref(), SECTION_CHECKS)
            .map(|(config, problem)| LoadedConfig { config, problem })
            .map_err(|error| {
                eprintln!("gateway: the configuration is not valid: {error}");
                ExitCode::from(INVALID_CONFIGURATION)
            })
    }

    /// Like [`Self::load`], for a subcommand that works beside a running gateway: warns when it uses the fallback.
    ///
    /// # Errors
    /// See [`Self::load`].
    pub fn load_for_command(&self) -> Result<Config, ExitCode> {
        let LoadedConfig { config, problem } = self.load()?;
        if let Some(problem) = problem {
            eprintln!("gateway: {problem}; using the last good configuration");
        }
        Ok(config)
    }
}
