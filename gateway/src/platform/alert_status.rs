//! Whether alerts are configured, and how their delivery goes. Shown by `GET /api/gateway`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The status of the alerts.
#[derive(Debug)]
pub struct AlertStatus {
    /// Whether a webhook is configured.
    pub has_webhook: bool,
    /// Number of recipients of mails.
    pub mail_recipients: usize,
    progress: Mutex<AlertProgress>,
}

/// How delivery has gone since the start of the gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertProgress {
    /// Messages that wait for a receiver. A message for several receivers counts several times.
    pub waiting: usize,
    /// When a receiver last accepted a message.
    pub delivered: Option<Instant>,
    /// When an attempt last failed.
    pub failed: Option<Instant>,
}

impl AlertStatus {
    pub fn new(has_webhook: bool, mail_recipients: usize) -> Self {
        Self {
            has_webhook,
            mail_recipients,
            progress: Mutex::default(),
        }
    }

    pub fn progress(&self) -> AlertProgress {
        *self.lock()
    }

    pub fn set_waiting(&self, waiting: usize) {
        self.lock().waiting = waiting;
    }

    /// Notes the end of an attempt.
    pub fn note_attempt(&self, is_delivered: bool) {
        let mut progress = self.lock();
        let last = match is_delivered {
            true => &mut progress.delivered,
            false => &mut progress.failed,
        };
        *last = Some(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, AlertProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
