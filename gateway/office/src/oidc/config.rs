//! The section `oidc` of the configuration.

use comptoir_core::Secret;
use comptoir_identity::Role;
use openidconnect::IssuerUrl;
use serde::Deserialize;

use crate::access::{Grant, InvalidGrant, VisibleShops};
use crate::config::ConfigError;

/// Sign-in with the accounts of an identity provider (OpenID Connect).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcConfig {
    /// As the provider names itself: the address before `/.well-known/openid-configuration`.
    pub issuer: Option<String>,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// What the sign-in page calls the provider. Default: its host.
    pub name: Option<String>,
    /// Requested besides `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token with the user's groups or roles: a text or a list of texts. Dots lead into objects, as in
    /// `realm_access.roles`.
    pub roles_claim: String,
    /// The claim with the name to show. Without it, the provider's identifier is shown.
    pub name_claim: String,
    /// Which value of that claim gives which role in which shops.
    pub roles: Vec<RoleRule>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: String::new(),
            client_secret: None,
            name: None,
            scopes: vec!["profile".to_owned()],
            roles_claim: "groups".to_owned(),
            name_claim: "preferred_username".to_owned(),
            roles: Vec::new(),
        }
    }
}

/// A value of the claim, and what it gives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    pub value: String,
    pub role: Role,
    /// `None`: all shops.
    pub shops: Option<Vec<String>>,
}

impl OidcConfig {
    /// The checked issuer; `None` if there is no identity provider.
    ///
    /// # Errors
    /// A key is missing or invalid.
    pub fn check(&self) -> Result<Option<IssuerUrl>, ConfigError> {
        let Some(issuer) = &self.issuer else {
            return Ok(None);
        };
        let refuse = |text: String| Err(ConfigError(text));
        let url = IssuerUrl::new(issuer.clone()).ok().filter(is_private_to_us);
        let Some(url) = url else {
            return refuse(format!(
                "oidc.issuer: {issuer:?} is not an https address; for example \"https://login.example.org/realms/chain\""
            ));
        };
        if self.client_id.is_empty() {
            return refuse(
                "oidc.client_id: missing; the identity provider shows it, for example \"comptoir\""
                    .to_owned(),
            );
        }
        if self.roles.is_empty() {
            return refuse(
                "oidc.roles: missing; say which group has which role, for example [[oidc.roles]] value = \"chain-managers\", \
                 role = \"manager\""
                    .to_owned(),
            );
        }
        for rule in &self.roles {
            if let Err(error) = Grant::new(rule.role, rule.shops.clone()) {
                return refuse(format!("oidc.roles: {:?}: {error}", rule.value));
            }
        }
        Ok(Some(url))
    }

    /// Whether the provider can name an administrator.
    pub fn has_administrator(&self) -> bool {
        self.roles.iter().any(|rule| rule.role == Role::Administrator)
    }

    /// What a user with these values of the claim may do: the highest of the roles, in all shops for which a rule gives that
    /// role. `None` if no rule applies.
    ///
    /// # Errors
    /// The shops of several rules are too many together.
    pub fn grant(&self, values: &[&str]) -> Result<Option<Grant>, InvalidGrant> {
        let rules = || {
            self.roles
                .iter()
                .filter(|rule| values.contains(&rule.value.as_str()))
        };
        let Some(role) = rules().map(|rule| rule.role).max() else {
            return Ok(None);
        };
        let shops: Option<Vec<Vec<String>>> = rules()
            .filter(|rule| rule.role == role)
            .map(|rule| rule.shops.clone())
            .collect();
        let grant = Grant {
            role,
            shops: VisibleShops::from_names(shops.map(|shops| shops.concat())),
        };
        Ok(Some(Grant::new(grant.role, grant.shops.for_sql())?))
    }
}

/// Passwords and secrets cross this connection, so it is encrypted, or stays on this machine.
fn is_private_to_us(issuer: &IssuerUrl) -> bool {
    let url = issuer.url();
    match url.scheme() {
        "https" => url.has_host(),
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(value: &str, role: Role, shops: Option<&[&str]>) -> RoleRule {
        RoleRule {
            value: value.to_owned(),
            role,
            shops: shops.map(|shops| shops.iter().map(|shop| (*shop).to_owned()).collect()),
        }
    }

    #[test]
    fn the_highest_role_counts_in_the_shops_for_which_it_is_given() {
        let config = OidcConfig {
            roles: vec![
                rule("paris", Role::Viewer, Some(&["paris-1", "paris-2"])),
                rule("lyon", Role::Viewer, Some(&["lyon-1"])),
                rule("all", Role::Viewer, None),
                rule("lyon-lead", Role::Manager, Some(&["lyon-1"])),
                rule("it", Role::Administrator, None),
            ],
            ..OidcConfig::default()
        };
        let shops =
            |shops: &[&str]| VisibleShops::from_names(Some(shops.iter().map(|s| (*s).to_owned()).collect()));
        for (values, expected) in [
            (&["unknown"][..], None),
            (&[], None),
            (
                &["paris", "lyon"],
                Some((Role::Viewer, shops(&["paris-1", "paris-2", "lyon-1"]))),
            ),
            (&["paris", "all"], Some((Role::Viewer, VisibleShops::All))),
            (&["all", "lyon-lead"], Some((Role::Manager, shops(&["lyon-1"])))),
            (&["it", "paris"], Some((Role::Administrator, VisibleShops::All))),
        ] {
            let grant = config.grant(values).unwrap();
            assert_eq!(
                grant.map(|grant| (grant.role, grant.shops)),
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_missing_or_wrong_key_is_named() {
        let valid = OidcConfig {
            issuer: Some("https://login.example.org/realms/chain".to_owned()),
            client_id: "comptoir".to_owned(),
            roles: vec![rule("it", Role::Administrator, None)],
            ..OidcConfig::default()
        };
        assert!(valid.check().unwrap().is_some());
        assert!(OidcConfig::default().check().unwrap().is_none());
        let with = |change: &dyn Fn(&mut OidcConfig)| {
            let mut config = valid.clone();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(
            with(&|config| config.issuer = Some("http://login.example.org".to_owned()))
                .contains("oidc.issuer")
        );
        assert!(with(&|config| config.client_id.clear()).contains("oidc.client_id"));
        assert!(with(&|config| config.roles.clear()).contains("oidc.roles: missing"));
        let error = with(&|config| config.roles.push(rule("x", Role::Viewer, Some(&["Paris"]))));
        assert!(
            error.contains("oidc.roles: \"x\"") && error.contains("Paris"),
            "{error}"
        );
    }
}
