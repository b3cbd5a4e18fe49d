//! Pairing of wall screens.

use super::{Accounts, Attempt, SignedIn};
use crate::store::Owner;
use crate::{CredentialKind, Error, Pairing, PairingState, Principal, Role};

impl Accounts {
    /// Starts to pair a wall screen.
    pub fn begin_pairing(&self, from: Attempt<'_>) -> Pairing {
        self.0.pairings.begin(self.0.passwords.network(from.address))
    }

    /// The state of a screen's pairing. Signs the screen in once it is approved.
    ///
    /// # Errors
    /// There are too many screens, or the file cannot be written.
    pub async fn pairing(
        &self,
        from: Attempt<'_>,
        id: &str,
        secret: &str,
    ) -> Result<(PairingState, Option<SignedIn>), Error> {
        let state = self.0.pairings.state(id, secret);
        if state != PairingState::Approved {
            return Ok((state, None));
        }
        let (kind, role) = (CredentialKind::Screen, Role::Viewer);
        let name = format!("screen {}", &id[..id.len().min(4)]);
        let (id, secret) = self.add(from, kind, Owner::Label(&name, role), None).await?;
        let principal = Principal {
            password_id: None,
            id: Some(id),
            kind,
            name,
            role,
        };
        Ok((state, Some(SignedIn { principal, secret })))
    }

    /// Approves the screen that shows `code`.
    ///
    /// # Errors
    /// No screen shows this code.
    pub fn approve_pairing(&self, code: &str) -> Result<(), Error> {
        match self.0.pairings.approve(code) {
            true => Ok(()),
            false => Err(Error::NoSuchPairing),
        }
    }
}
