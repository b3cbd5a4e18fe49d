//! Who gets alerts, and how.

use comptoir_core::Secret;
use jiff::tz::TimeZone;
use lettre::message::Mailbox;
use reqwest::Url;
use serde::Deserialize;

use super::ConfigError;
use crate::alerts::Receivers;
use crate::alerts::mail::Mailer;
use crate::alerts::mail_text::{Language, MailStyle};
use crate::alerts::quiet::QuietHours;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Receives a `POST` when a trouble of a shop begins or ends. The address may contain a secret.
    pub webhook: Option<Secret>,
    /// The mail server: `smtps://user:password@mail.example.org`, or `smtp://…?tls=required` for STARTTLS.
    pub smtp_url: Option<Secret>,
    /// The sender of mails.
    pub from: String,
    /// Their recipients, separated by commas.
    pub to: String,
    pub language: Language,
    /// Hours in which only severe troubles are mailed: `22:00-07:00 Europe/Paris`.
    pub quiet: Option<String>,
    /// The address of the office's pages, for the links in mails: `https://office.example.org`.
    pub page: Option<String>,
}

impl AlertsConfig {
    /// The parsed address, if there is one.
    ///
    /// # Errors
    /// It is not a valid `http` or `https` address.
    pub fn url(&self) -> Result<Option<Url>, ConfigError> {
        let webhook = self.webhook.as_ref().map(Secret::reveal);
        http_url("webhook", "https://alerts.example.org/hooks/shops", webhook)
    }

    /// Everybody who gets alerts.
    ///
    /// # Errors
    /// Names the invalid key, with an example.
    pub fn receivers(&self) -> Result<Receivers, ConfigError> {
        Ok(Receivers {
            webhook: self.url()?,
            mail: self.mailer()?,
        })
    }

    fn mailer(&self) -> Result<Option<Mailer>, ConfigError> {
        let Some(url) = &self.smtp_url else {
            return match self.from.is_empty() && self.to.is_empty() && self.quiet.is_none() {
                true => Ok(None),
                false => Err(ConfigError(format!(
                    "alerts.smtp_url: missing; for example {SMTP_EXAMPLE}"
                ))),
            };
        };
        check_smtp(url)?;
        let mailbox = |key: &str, text: &str| {
            let error = |_| {
                ConfigError(format!(
                    "alerts.{key}: {text:?} is not an e-mail address; for example \"alerts@example.org\""
                ))
            };
            text.trim().parse::<Mailbox>().map_err(error)
        };
        let from = mailbox("from", &self.from)?;
        let recipients = self.to.split(',').map(|text| mailbox("to", text));
        let recipients = recipients.collect::<Result<Vec<_>, _>>()?;
        let quiet = self.quiet.as_deref().map(str::parse::<QuietHours>).transpose();
        let quiet = quiet.map_err(|error| ConfigError(format!("alerts.quiet: {error}")))?;
        let style = MailStyle {
            language: self.language,
            time_zone: quiet
                .as_ref()
                .map_or(TimeZone::UTC, |hours| hours.time_zone().clone()),
            page: http_url("page", "https://office.example.org", self.page.as_deref())?,
        };
        let mailer = Mailer::new(url, from, recipients, quiet, style);
        // The error might show a part of the address, which contains a password.
        let mailer = mailer.map_err(|_| {
            ConfigError(format!(
                "alerts.smtp_url: not an address of a mail server; for example {SMTP_EXAMPLE}"
            ))
        })?;
        Ok(Some(mailer))
    }
}

const SMTP_EXAMPLE: &str =
    "\"smtps://user:password@mail.example.org\", or \"smtp://user:password@mail.example.org?tls=required\"";

/// The error does not show the address, which may contain a secret.
fn http_url(key: &str, example: &str, text: Option<&str>) -> Result<Option<Url>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let error = || {
        ConfigError(format!(
            "alerts.{key}: not an http or https address; for example {example:?}"
        ))
    };
    url.map(Some).ok_or_else(error)
}

/// A password may not cross the network in the clear.
fn check_smtp(url: &Secret) -> Result<(), ConfigError> {
    let url = Url::parse(url.reveal()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
    let Some(url) = url else {
        return Err(ConfigError(format!(
            "alerts.smtp_url: not an address of a mail server; for example {SMTP_EXAMPLE}"
        )));
    };
    let is_encrypted = url.scheme() == "smtps"
        || url
            .query_pairs()
            .any(|(name, value)| name == "tls" && value == "required");
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.password().is_none() || is_encrypted || is_local {
        true => Ok(()),
        false => Err(ConfigError(format!(
            "alerts.smtp_url: the password would cross the network in the clear; write {SMTP_EXAMPLE}"
        ))),
    }
}
