//! The key that signs closings and archives: Ed25519, derived from the shop's secret. Its public part is in every closing,
//! in the state that the gateway publishes, and in every archive.

use std::fmt;
use std::str::FromStr;

use comptoir_core::chain::ChainHash;
use comptoir_core::shop_secret::ShopSecret;
use data_encoding::HEXLOWER;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// What a signature is for. A signature for one purpose is never valid for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Closing,
    Archive,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Purpose::Closing => "comptoir closing v1",
            Purpose::Archive => "comptoir archive v1",
        }
    }

    /// The signed bytes: the label and the hash, each preceded by its length as a big-endian `u32`.
    fn message(self, hash: ChainHash) -> Vec<u8> {
        let mut message = Vec::new();
        for field in [self.label().as_bytes(), &hash.0] {
            message.extend_from_slice(&(field.len() as u32).to_be_bytes());
            message.extend_from_slice(field);
        }
        message
    }
}

/// A signature of a [`ChainHash`], displayed in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Signature {
    /// `None` if the text is not 128 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

/// The secret key. Its `Debug` output does not show it.
pub struct ClosingKey(Ed25519KeyPair);

impl ClosingKey {
    pub fn of(secret: &ShopSecret) -> Self {
        match Ed25519KeyPair::from_seed_unchecked(&secret.closing_seed()) {
            Ok(pair) => Self(pair),
            Err(error) => unreachable!("a seed of 32 bytes is a key: {error}"),
        }
    }

    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    pub fn sign(&self, purpose: Purpose, hash: ChainHash) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(&purpose.message(hash)).as_ref());
        Signature(bytes)
    }
}

impl fmt::Debug for ClosingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The text is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has 64 lower-case hexadecimal digits, as `key` in a closing")]
pub struct NotAKey;

/// The public key, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub fn verify(&self, purpose: Purpose, hash: ChainHash, signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(&purpose.message(hash), &signature.0)
            .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NotAKey)?;
        bytes.try_into().map(Self).map_err(|_| NotAKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClosingKey {
        ClosingKey::of(&ShopSecret::new(std::array::from_fn(|at| at as u8)))
    }

    /// A golden value: closings are kept for ever, and their key has to stay.
    #[test]
    fn the_key_of_a_shop_does_not_change() {
        assert_eq!(
            key().public().to_string(),
            "0ade4ea62ce7516fac12b1f49190a829aaf1754f4d6ca5ce3e3097742faddc33"
        );
    }

    #[test]
    fn a_signature_fits_one_purpose_one_hash_and_one_key() {
        let (key, hash) = (key(), ChainHash([7; 32]));
        let signature = key.sign(Purpose::Closing, hash);
        let public: PublicKey = key.public().to_string().parse().unwrap();
        assert!(public.verify(
            Purpose::Closing,
            hash,
            &Signature::parse(&signature.to_string()).unwrap()
        ));
        assert!(!public.verify(Purpose::Archive, hash, &signature));
        assert!(!public.verify(Purpose::Closing, ChainHash([8; 32]), &signature));
        let other = ClosingKey::of(&ShopSecret::new([9; 32])).public();
        assert!(!other.verify(Purpose::Closing, hash, &signature));
        for at in 0..512 {
            let mut forged = signature;
            forged.0[at / 8] ^= 1 << (at % 8);
            assert!(!public.verify(Purpose::Closing, hash, &forged), "bit {at}");
        }
    }
}
