//! Sign-in with an identity provider: OpenID Connect, authorization code flow with PKCE, `state` and `nonce`.
//!
//! What belongs to one sign-in ([`Pending`]) is in a cookie of the browser that began it. So any replica can finish it, and
//! nobody can fill a table with sign-ins that are never finished.

mod config;
mod transport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comptoir_identity::digest;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};

pub use config::{OidcConfig, RoleRule};

use self::transport::send;
use crate::access::Grant;

/// How long a user may take at the provider.
pub const PENDING_LIFE: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The provider's addresses and keys are read again after this time.
const METADATA_LIFE: Duration = Duration::from_secs(60);
/// Most codes that are exchanged at the same time.
const MAX_EXCHANGES: usize = 8;
/// Longest name of a user, in characters.
const MAX_NAME: usize = 64;
/// Longest identifier of a user at the provider, in bytes. The standard allows 255.
const MAX_SUBJECT: usize = 255;

/// All claims of the ID token besides the standard ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims(Map<String, Value>);

impl AdditionalClaims for Claims {}

type TokenFields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type OfficeClient = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<TokenFields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Signature algorithms with a public key. Others would make a leaked client secret sign users in.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why a sign-in has failed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("the identity provider does not reply as it should: {0}")]
    Provider(String),
    #[error("the sign-in was not begun in this browser, or more than ten minutes ago")]
    WrongState,
    #[error("the answer comes from another identity provider")]
    WrongIssuer,
    #[error("the identity provider has refused: {0}")]
    Refused(String),
    #[error("the ID token is not valid: {0}")]
    InvalidToken(String),
    #[error("no rule of oidc.roles gives the user a role")]
    NoRole,
    #[error("too many sign-ins at the same time")]
    Busy,
}

/// A sign-in that the browser has begun.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    /// The page to return to.
    pub next: String,
}

impl Pending {
    /// For a cookie.
    pub fn encode(&self) -> String {
        // Cannot fail: texts only.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// The query of the address to which the provider sends the browser back.
#[derive(Debug, Deserialize)]
pub struct Callback {
    code: Option<String>,
    state: Option<String>,
    /// RFC 9207.
    iss: Option<String>,
    error: Option<String>,
}

/// A user as the provider describes it.
#[derive(Debug)]
pub struct ExternalUser {
    /// The issuer and its identifier for the user.
    pub subject: String,
    pub name: String,
    pub grant: Grant,
}

/// The identity provider.
pub struct Oidc {
    config: OidcConfig,
    issuer: IssuerUrl,
    http: reqwest::Client,
    metadata: Mutex<Option<(Instant, Arc<CoreProviderMetadata>)>>,
    exchanges: Semaphore,
}

impl Oidc {
    /// # Errors
    /// TLS cannot be initialised.
    pub fn new(config: &OidcConfig, issuer: IssuerUrl) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A redirect could lead into the office's own network.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            config: config.clone(),
            issuer,
            http,
            metadata: Mutex::new(None),
            exchanges: Semaphore::new(MAX_EXCHANGES),
        })
    }

    /// What the sign-in page calls the provider.
    pub fn name(&self) -> &str {
        let host = self.issuer.url().host_str().unwrap_or_default();
        self.config.name.as_deref().unwrap_or(host)
    }

    pub fn has_administrator(&self) -> bool {
        self.config.has_administrator()
    }

    /// Begins a sign-in that returns to `redirect` and then to the page `next`. Returns the provider's address for the
    /// browser.
    ///
    /// # Errors
    /// The provider does not reply.
    pub async fn begin(&self, redirect: &str, next: String) -> Result<(String, Pending), OidcError> {
        let client = self.client(redirect).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let pending = Pending {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            next,
        };
        Ok((url.to_string(), pending))
    }

    /// Finishes a sign-in.
    ///
    /// # Errors
    /// The answer does not belong to this sign-in, is not the provider's, or gives no role.
    pub async fn finish(
        &self,
        redirect: &str,
        pending: Option<Pending>,
        callback: Callback,
    ) -> Result<ExternalUser, OidcError> {
        let _permit = self.exchanges.try_acquire().map_err(|_| OidcError::Busy)?;
        let pending = pending.ok_or(OidcError::WrongState)?;
        // Digests, so that the comparison takes no longer for a state that begins right.
        let is_ours = callback
            .state
            .is_some_and(|state| digest(&state) == digest(&pending.state));
        if !is_ours {
            return Err(OidcError::WrongState);
        }
        if callback.iss.is_some_and(|iss| iss != self.issuer.as_str()) {
            return Err(OidcError::WrongIssuer);
        }
        if let Some(error) = callback.error {
            return Err(OidcError::Refused(
                error.chars().filter(|c| !c.is_control()).take(64).collect(),
            ));
        }
        let code = callback.code.ok_or(OidcError::WrongState)?;
        self.exchange(redirect, pending, code).await
    }

    async fn exchange(
        &self,
        redirect: &str,
        pending: Pending,
        code: String,
    ) -> Result<ExternalUser, OidcError> {
        let client = self.client(redirect).await?;
        let http = |request| send(self.http.clone(), request);
        let response = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| OidcError::Provider(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier))
            .request_async(&http)
            .await
            .map_err(|error| OidcError::Provider(error.to_string()))?;
        let token = response
            .id_token()
            .ok_or_else(|| OidcError::InvalidToken("there is none".to_owned()))?;
        // Checks the signature, the issuer, the audience, the times and the nonce.
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let claims = token
            .claims(&verifier, &Nonce::new(pending.nonce))
            .map_err(|error| OidcError::InvalidToken(error.to_string()))?;
        // All claims, standard ones too, because the configuration may name either.
        let all = serde_json::to_value(claims).map_err(|error| OidcError::InvalidToken(error.to_string()))?;
        self.user(claims.subject().as_str(), &all)
    }

    fn user(&self, subject: &str, claims: &Value) -> Result<ExternalUser, OidcError> {
        if subject.is_empty() || subject.len() > MAX_SUBJECT || subject.contains('\0') {
            return Err(OidcError::InvalidToken("sub is empty or too long".to_owned()));
        }
        let values = texts(claim(claims, &self.config.roles_claim));
        let grant = self
            .config
            .grant(&values)
            .map_err(|error| OidcError::Provider(error.to_string()))?
            .ok_or(OidcError::NoRole)?;
        let name = claim(claims, &self.config.name_claim).and_then(Value::as_str);
        let name = name
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .unwrap_or(subject);
        Ok(ExternalUser {
            subject: format!("{} {subject}", self.issuer.as_str()),
            name: name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect(),
            grant,
        })
    }

    async fn client(&self, redirect: &str) -> Result<OfficeClient, OidcError> {
        let metadata = self.metadata().await?;
        let id = ClientId::new(self.config.client_id.clone());
        let secret = self.config.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.reveal().to_owned()));
        let redirect =
            RedirectUrl::new(redirect.to_owned()).map_err(|error| OidcError::Provider(error.to_string()))?;
        Ok(OfficeClient::from_provider_metadata((*metadata).clone(), id, secret).set_redirect_uri(redirect))
    }

    /// The provider's addresses and keys. One request reads them for all that wait.
    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let mut cached = self.metadata.lock().await;
        if let Some((_, metadata)) = cached.as_ref().filter(|(at, _)| at.elapsed() < METADATA_LIFE) {
            return Ok(Arc::clone(metadata));
        }
        let http = |request| send(self.http.clone(), request);
        // Checks that the document is of this issuer.
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &http)
            .await
            .map_err(|error| OidcError::Provider(error.to_string()))?;
        let metadata = Arc::new(metadata);
        *cached = Some((Instant::now(), Arc::clone(&metadata)));
        Ok(metadata)
    }
}

/// A claim by its name, or by a path of names with dots.
fn claim<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    claims
        .get(path)
        .or_else(|| path.split('.').try_fold(claims, |value, name| value.get(name)))
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_name_or_path_and_is_a_text_or_a_list() {
        let claims = json!({
            "groups": ["paris", 7, "lyon"],
            "realm_access": {"roles": ["it"]},
            "https://example.org/role": "viewer",
        });
        for (path, expected) in [
            ("groups", &["paris", "lyon"][..]),
            ("realm_access.roles", &["it"]),
            ("https://example.org/role", &["viewer"]),
            ("realm_access", &[]),
            ("nothing.at.all", &[]),
        ] {
            assert_eq!(texts(claim(&claims, path)), expected, "{path}");
        }
    }

    #[test]
    fn a_pending_sign_in_survives_the_cookie() {
        let pending = Pending {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            next: "/sales?store=paris-1".to_owned(),
        };
        let found = Pending::decode(&pending.encode()).unwrap();
        assert_eq!(
            (found.state.as_str(), found.next.as_str()),
            ("s", "/sales?store=paris-1")
        );
        assert!(Pending::decode("forged").is_none());
    }
}
