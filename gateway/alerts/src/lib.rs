//! What the alerts of a gateway and those of head office have in common.
//!
//! * [`receivers`]: the keys of the section `alerts`, and their checks.
//! * [`mail`]: sends mails. [`mail_text`]: what they say, in English and French.
//! * [`quiet`]: the hours in which only severe troubles are mailed.
//! * [`webhook`]: calls the webhook.
//!
//! Which troubles there are, and where messages wait until they are delivered, is up to each program.

pub mod mail;
pub mod mail_text;
pub mod quiet;
pub mod receivers;
mod trouble;
pub mod webhook;

pub use trouble::{SEVERE, ShopTrouble};
