//! Sends mails.

use std::time::Duration;

use comptoir_core::Secret;
use jiff::Timestamp;
pub use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::mail_text::{MailChanges, MailStyle};
use crate::quiet::QuietHours;

/// Timeout of each step of a conversation with the mail server.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of one attempt.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The mail server, and who gets what.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    recipients: Vec<Mailbox>,
    quiet: Option<QuietHours>,
    style: MailStyle,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("the mail server: {0}")]
    Smtp(#[from] smtp::Error),
    #[error("the mail server has not replied for {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("the mail server does not accept mails now")]
    Unavailable,
    #[error(transparent)]
    Text(#[from] lettre::error::Error),
}

/// The name of a recipient's outbox.
pub fn channel(recipient: &Mailbox) -> String {
    format!("mail {}", recipient.email)
}

impl MailError {
    /// The error without the text of the mail server's reply, which may contain the recipient's address.
    pub fn without_reply(&self) -> String {
        match self {
            Self::Smtp(error) if error.status().is_some() => {
                let code = error.status().map(|code| code.to_string());
                format!("the mail server refuses with {}", code.unwrap_or_default())
            }
            _ => self.to_string(),
        }
    }
}

impl Mailer {
    /// # Errors
    /// `url` is not an address of a mail server.
    pub fn new(
        url: &Secret,
        from: Mailbox,
        recipients: Vec<Mailbox>,
        quiet: Option<QuietHours>,
        style: MailStyle,
    ) -> Result<Self, smtp::Error> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.reveal())?
            .timeout(Some(STEP_TIMEOUT))
            .build();
        Ok(Self {
            transport,
            from,
            recipients,
            quiet,
            style,
        })
    }

    pub fn recipients(&self) -> &[Mailbox] {
        &self.recipients
    }

    /// Whether only severe troubles may be mailed now.
    pub fn is_quiet(&self, now: Timestamp) -> bool {
        self.quiet.as_ref().is_some_and(|hours| hours.contains(now))
    }

    /// Connects, and signs in if the address has a password.
    ///
    /// # Errors
    /// The mail server cannot be reached or refuses.
    pub async fn check(&self) -> Result<(), MailError> {
        let check = tokio::time::timeout(TIMEOUT, self.transport.test_connection()).await;
        match check.map_err(|_| MailError::TimedOut)?? {
            true => Ok(()),
            false => Err(MailError::Unavailable),
        }
    }

    /// Sends one mail about all these changes. `id` becomes a part of the Message-ID, so it must be the same at each
    /// attempt, and another one in every other mail of this sender.
    ///
    /// # Errors
    /// The mail server does not take the mail.
    pub async fn send(
        &self,
        recipient: &Mailbox,
        id: &str,
        changes: &[MailChanges],
    ) -> Result<(), MailError> {
        let text = self.style.write(changes);
        let (sender, domain) = (self.style.sender.name(), self.from.email.domain());
        let message = Message::builder()
            .message_id(Some(format!("<{id}.comptoir-{sender}@{domain}>")))
            .from(self.from.clone())
            .to(recipient.clone())
            .subject(text.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text.body)?;
        let sent = tokio::time::timeout(TIMEOUT, self.transport.send(message)).await;
        sent.map_err(|_| MailError::TimedOut)??;
        Ok(())
    }
}
