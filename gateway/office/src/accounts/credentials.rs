//! Sessions and tokens.

use std::collections::HashMap;
use std::sync::Arc;

use comptoir_core::Secret;
use comptoir_identity::{
    Act, CredentialKind, Error, MAX_SESSIONS, MAX_TOKENS, SESSION_IDLE, SESSION_LIFE, UserName,
    check_token_name, digest, new_id, new_secret, stored_agent,
};
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::audit::record;
use super::error::damaged;
use super::users::{grant, grant_json, key};
use super::{Accounts, AccountsError, Source};
use crate::access::{Caller, CallerCredential, Grant};
use crate::database::within;

/// Longest session of a user of the identity provider. Then the provider is asked again, because it does not say when
/// somebody loses a role.
const EXTERNAL_SESSION_LIFE: SignedDuration = SignedDuration::from_hours(12);

/// SQL that selects the valid credentials, with the name, role and shops of their user, or their own. `rest` continues the
/// condition. The result contains no values of a request.
fn select_valid(rest: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT c.id, c.kind, c.account IS NOT NULL AS has_password, coalesce(c.account, c.subject) AS owner, \
         coalesce(a.name, c.name) AS name, coalesce(a.role, c.role) AS role, \
         CASE WHEN c.account IS NULL THEN c.shops ELSE a.shops END AS shops, c.created, c.used, \
         c.address, c.agent, c.used < now() - interval '1 minute' AS is_stale \
         FROM credential c LEFT JOIN account a ON a.key = c.account \
         WHERE (c.expires IS NULL OR c.expires > now()) \
         AND (c.kind = 'token' OR c.used > now() - make_interval(secs => {})) {rest}",
        SESSION_IDLE.as_secs()
    ))
}

/// A credential as listed, without its secret.
#[derive(Debug, Clone)]
pub struct Credential {
    pub id: String,
    pub kind: CredentialKind,
    /// The user or the token.
    pub name: String,
    /// See [`CallerCredential`].
    pub has_password: bool,
    pub owner: Option<String>,
    pub grant: Grant,
    pub created: Timestamp,
    /// Exact to a minute.
    pub used: Timestamp,
    pub address: Option<String>,
    pub agent: Option<String>,
}

/// A new session or token. Its secret is not stored anywhere else.
#[derive(Debug)]
pub struct SignedIn {
    pub caller: Caller,
    pub secret: Secret,
}

/// Whose session begins.
#[derive(Debug)]
pub enum NewSession<'a> {
    /// A user with a password here.
    Account { name: &'a UserName, grant: Grant },
    /// A user of the identity provider. `subject` is the provider's name for the user.
    External {
        subject: &'a str,
        name: &'a str,
        grant: Grant,
    },
}

fn kind(row: &PgRow) -> Result<CredentialKind, sqlx::Error> {
    match row.try_get("kind")? {
        "session" => Ok(CredentialKind::Session),
        "token" => Ok(CredentialKind::Token),
        _ => Err(damaged("kind of credential")),
    }
}

fn credential(row: &PgRow) -> Result<Credential, sqlx::Error> {
    let time = |column| row.try_get::<SqlTimestamp, _>(column).map(SqlTimestamp::to_jiff);
    Ok(Credential {
        id: row.try_get("id")?,
        kind: kind(row)?,
        name: row.try_get("name")?,
        has_password: row.try_get("has_password")?,
        owner: row.try_get("owner")?,
        grant: grant(row)?,
        created: time("created")?,
        used: time("used")?,
        address: row.try_get("address")?,
        agent: row.try_get("agent")?,
    })
}

fn caller(row: &PgRow) -> Result<Caller, sqlx::Error> {
    let grant = grant(row)?;
    Ok(Caller {
        name: Arc::from(row.try_get::<&str, _>("name")?),
        role: grant.role,
        shops: grant.shops,
        credential: Some(CallerCredential {
            id: Arc::from(row.try_get::<&str, _>("id")?),
            kind: kind(row)?,
            has_password: row.try_get("has_password")?,
            owner: row.try_get::<Option<&str>, _>("owner")?.map(Arc::from),
        }),
    })
}

impl Accounts {
    /// The owner of a secret; `None` if the credential has ended or never existed.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn authenticate(&self, from: &Source, secret: &str) -> Result<Option<Caller>, AccountsError> {
        let query = sqlx::query(select_valid("AND c.digest = $1")).bind(digest(secret).to_vec());
        let Some(row) = within(query.fetch_optional(&self.0.pool)).await? else {
            return Ok(None);
        };
        let found = caller(&row)?;
        if row.try_get("is_stale")? {
            let id: &str = row.try_get("id")?;
            let query = sqlx::query("UPDATE credential SET used = now(), address = $2 WHERE id = $1");
            let query = query.bind(id).bind(address(from));
            within(query.execute(&self.0.pool)).await?;
        }
        Ok(Some(found))
    }

    /// The valid sessions and tokens, most recently used first.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn credentials(&self) -> Result<Vec<Credential>, AccountsError> {
        let query = sqlx::query(select_valid("ORDER BY c.used DESC, c.id"));
        let rows = within(query.fetch_all(&self.0.pool)).await?;
        Ok(rows.iter().map(credential).collect::<Result<_, _>>()?)
    }

    /// What the valid ones among these sessions and tokens may do, by id.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn grants<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<String, Grant>, AccountsError> {
        let ids: Vec<String> = ids.map(str::to_owned).collect();
        let query = sqlx::query(select_valid("AND c.id = ANY($1)")).bind(ids);
        let rows = within(query.fetch_all(&self.0.pool)).await?;
        let grants = rows.iter().map(|row| Ok((row.try_get("id")?, grant(row)?)));
        Ok(grants.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Ends a session or token.
    ///
    /// # Errors
    /// There is none with this id, or PostgreSQL does not reply.
    pub async fn end(&self, id: &str, act: Act) -> Result<(), AccountsError> {
        within(async {
            let mut transaction = self.0.pool.begin().await?;
            let query = sqlx::query("DELETE FROM credential WHERE id = $1").bind(id);
            if query.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(Err(Error::NoSuchCredential));
            }
            record(&mut transaction, &act).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await??;
        Ok(())
    }

    /// Begins a session. `act` is recorded.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn begin_session(
        &self,
        from: &Source,
        new: NewSession<'_>,
        act: &Act,
    ) -> Result<SignedIn, AccountsError> {
        let (id, secret) = (new_id(), new_secret());
        let (account, subject, name, grant, life) = match new {
            NewSession::Account { name, grant } => {
                (Some(key(name)), None, name.as_str(), grant, SESSION_LIFE)
            }
            NewSession::External { subject, name, grant } => {
                (None, Some(subject), name, grant, EXTERNAL_SESSION_LIFE)
            }
        };
        let own = account.is_none().then_some((name, grant.role.name()));
        let own_shops = account.is_none().then(|| grant.shops.for_sql()).flatten();
        within(async {
            let mut transaction = self.0.pool.begin().await?;
            sqlx::query(
                "DELETE FROM credential WHERE kind = 'session' \
                 AND (expires < now() OR used < now() - make_interval(secs => $1))",
            )
            .bind(SESSION_IDLE.as_secs_f64())
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "DELETE FROM credential WHERE id IN (SELECT id FROM credential WHERE kind = 'session' \
                 AND account IS NOT DISTINCT FROM $1 AND subject IS NOT DISTINCT FROM $2 ORDER BY used DESC OFFSET $3)",
            )
            .bind(&account)
            .bind(subject)
            .bind(MAX_SESSIONS - 1)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO credential (id, digest, kind, account, subject, name, role, shops, expires, address, agent) \
                 VALUES ($1, $2, 'session', $3, $4, $5, $6, $7, now() + make_interval(secs => $8), $9, $10)",
            )
            .bind(&id)
            .bind(digest(secret.reveal()).to_vec())
            .bind(&account)
            .bind(subject)
            .bind(own.map(|own| own.0))
            .bind(own.map(|own| own.1))
            .bind(own_shops)
            .bind(life.as_secs_f64())
            .bind(address(from))
            .bind(agent(from))
            .execute(&mut *transaction)
            .await?;
            sqlx::query("UPDATE account SET signed_in = now() WHERE key = $1")
                .bind(&account)
                .execute(&mut *transaction)
                .await?;
            record(&mut transaction, act).await?;
            transaction.commit().await
        })
        .await?;
        self.0.metrics.signed_in("ok");
        let caller = Caller {
            name: Arc::from(name),
            role: grant.role,
            shops: grant.shops,
            credential: Some(CallerCredential {
                id: Arc::from(id),
                kind: CredentialKind::Session,
                has_password: account.is_some(),
                owner: account.as_deref().or(subject).map(Arc::from),
            }),
        };
        Ok(SignedIn { caller, secret })
    }

    /// Creates a token for a program and returns its id and its secret, which is not stored anywhere else.
    ///
    /// # Errors
    /// The name is invalid, there are too many tokens, or PostgreSQL does not reply.
    pub async fn add_token(
        &self,
        name: &str,
        grant: &Grant,
        act: Act,
    ) -> Result<(String, Secret), AccountsError> {
        let name = check_token_name(name)?;
        let (id, secret) = (new_id(), new_secret());
        let act = act.on(name).from_to(None, Some(grant_json(grant)));
        within(async {
            let mut transaction = self.0.pool.begin().await?;
            let query = sqlx::query(
                "INSERT INTO credential (id, digest, kind, name, role, shops) SELECT $1, $2, 'token', $3, $4, $5 \
                 WHERE (SELECT count(*) FROM credential WHERE kind = 'token') < $6",
            );
            let query = query
                .bind(&id)
                .bind(digest(secret.reveal()).to_vec())
                .bind(name)
                .bind(grant.role.name())
                .bind(grant.shops.for_sql())
                .bind(MAX_TOKENS);
            if query.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(Err(Error::TooMany("500 tokens")));
            }
            record(&mut transaction, &act).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await??;
        Ok((id, secret))
    }
}

fn address(from: &Source) -> Option<String> {
    from.address.map(|address| address.to_canonical().to_string())
}

fn agent(from: &Source) -> Option<String> {
    from.agent.as_deref().map(stored_agent)
}
