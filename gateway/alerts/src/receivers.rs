//! Who gets alerts, and how.

use comptoir_core::Secret;
use jiff::tz::TimeZone;
use lettre::message::Mailbox;
use reqwest::Url;
use serde::Deserialize;

use crate::mail::Mailer;
use crate::mail_text::{Language, MailStyle, Sender};
use crate::quiet::QuietHours;

/// The receivers, as they are configured in the section `alerts`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiversConfig {
    /// Receives a `POST` when a trouble begins or ends. The address may contain a secret.
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
    /// The address of the sender's pages, for the links in mails: `https://office.example.org`.
    pub page: Option<String>,
}

/// Who gets alerts.
#[derive(Clone)]
pub struct Receivers {
    pub webhook: Option<Url>,
    pub mail: Option<Mailer>,
}

impl Receivers {
    pub fn is_empty(&self) -> bool {
        self.webhook.is_none() && self.mail.is_none()
    }
}

/// An invalid key of the section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("alerts.{key}: {message}")]
pub struct ReceiverError {
    /// The name of the key within the section: `webhook`.
    pub key: &'static str,
    /// What is wrong, with an example. Contains no secret.
    pub message: String,
}

impl ReceiverError {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { key, message }
    }
}

impl ReceiversConfig {
    /// Everybody who gets alerts of this sender. The times in mails are in the time zone of the quiet hours; without
    /// these, in `time_zone`.
    ///
    /// # Errors
    /// Names the invalid key, with an example.
    pub fn receivers(&self, sender: Sender, time_zone: TimeZone) -> Result<Receivers, ReceiverError> {
        let webhook = self.webhook.as_ref().map(Secret::reveal);
        Ok(Receivers {
            webhook: http_url("webhook", "https://alerts.example.org/hooks/shops", webhook)?,
            mail: self.mailer(sender, time_zone)?,
        })
    }

    fn mailer(&self, sender: Sender, time_zone: TimeZone) -> Result<Option<Mailer>, ReceiverError> {
        let Some(url) = &self.smtp_url else {
            return match self.from.is_empty() && self.to.is_empty() && self.quiet.is_none() {
                true => Ok(None),
                false => Err(ReceiverError::new(
                    "smtp_url",
                    format!("missing; for example {SMTP_EXAMPLE}"),
                )),
            };
        };
        check_smtp(url)?;
        let mailbox = |key: &'static str, text: &str| {
            let error = |_| {
                let example = "for example \"alerts@example.org\"";
                ReceiverError::new(key, format!("{text:?} is not an e-mail address; {example}"))
            };
            text.trim().parse::<Mailbox>().map_err(error)
        };
        let from = mailbox("from", &self.from)?;
        let recipients = self.to.split(',').map(|text| mailbox("to", text));
        let recipients = recipients.collect::<Result<Vec<_>, _>>()?;
        let quiet = self.quiet.as_deref().map(str::parse::<QuietHours>).transpose();
        let quiet = quiet.map_err(|error| ReceiverError::new("quiet", error.to_string()))?;
        let style = MailStyle {
            sender,
            language: self.language,
            time_zone: quiet
                .as_ref()
                .map_or(time_zone, |hours| hours.time_zone().clone()),
            page: http_url("page", "https://office.example.org", self.page.as_deref())?,
        };
        let mailer = Mailer::new(url, from, recipients, quiet, style);
        // The error might show a part of the address, which contains a password.
        mailer.map(Some).map_err(|_| not_a_mail_server())
    }
}

const SMTP_EXAMPLE: &str =
    "\"smtps://user:password@mail.example.org\", or \"smtp://user:password@mail.example.org?tls=required\"";

fn not_a_mail_server() -> ReceiverError {
    let message = format!("not an address of a mail server; for example {SMTP_EXAMPLE}");
    ReceiverError::new("smtp_url", message)
}

/// The error does not show the address, which may contain a secret.
fn http_url(key: &'static str, example: &str, text: Option<&str>) -> Result<Option<Url>, ReceiverError> {
    let Some(text) = text else { return Ok(None) };
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let error = || {
        ReceiverError::new(
            key,
            format!("not an http or https address; for example {example:?}"),
        )
    };
    url.map(Some).ok_or_else(error)
}

/// A password may not cross the network in the clear.
fn check_smtp(url: &Secret) -> Result<(), ReceiverError> {
    let url = Url::parse(url.reveal()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
    let Some(url) = url else {
        return Err(not_a_mail_server());
    };
    let is_encrypted = url.scheme() == "smtps"
        || url
            .query_pairs()
            .any(|(name, value)| name == "tls" && value == "required");
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.password().is_none() || is_encrypted || is_local {
        true => Ok(()),
        false => Err(ReceiverError::new(
            "smtp_url",
            format!("the password would cross the network in the clear; write {SMTP_EXAMPLE}"),
        )),
    }
}
