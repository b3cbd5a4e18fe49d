//! Users and their passwords.

use comptoir_core::Secret;
use comptoir_identity::{Act, Error, Role, UserName, check_password};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, Row as _, Transaction};

use super::audit::record;
use super::error::damaged;
use super::{Accounts, AccountsError};
use crate::access::{Grant, VisibleShops};
use crate::database::within;

const MAX_USERS: i64 = 5_000;
/// No password may be this word, in place of a shop's name.
const PROGRAM: &str = "comptoir";

#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub grant: Grant,
    pub created: Timestamp,
    pub signed_in: Option<Timestamp>,
    /// Number of open sessions.
    pub sessions: i64,
}

/// What changes of a user.
#[derive(Debug, Default)]
pub struct UserChange {
    pub grant: Option<Grant>,
    pub password: Option<Secret>,
}

/// The form in which names are compared.
pub(super) fn key(name: &UserName) -> String {
    name.as_str().to_lowercase()
}

/// A grant for the audit log.
pub(super) fn grant_json(grant: &Grant) -> Value {
    json!({"role": grant.role.name(), "shops": grant.shops.for_sql()})
}

/// The columns `role` and `shops`.
pub(super) fn grant(row: &PgRow) -> Result<Grant, sqlx::Error> {
    let role: &str = row.try_get("role")?;
    Ok(Grant {
        role: role.parse().map_err(|_| damaged("role"))?,
        shops: VisibleShops::from_names(row.try_get("shops")?),
    })
}

fn user(row: &PgRow) -> Result<User, sqlx::Error> {
    let created: SqlTimestamp = row.try_get("created")?;
    let signed_in: Option<SqlTimestamp> = row.try_get("signed_in")?;
    Ok(User {
        name: row.try_get("name")?,
        grant: grant(row)?,
        created: created.to_jiff(),
        signed_in: signed_in.map(SqlTimestamp::to_jiff),
        sessions: row.try_get("sessions")?,
    })
}

impl Accounts {
    /// All users, by name.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn users(&self) -> Result<Vec<User>, AccountsError> {
        let query = sqlx::query(
            "SELECT name, role, shops, created, signed_in, \
             (SELECT count(*) FROM credential WHERE account = account.key) AS sessions FROM account ORDER BY key",
        );
        let rows = within(query.fetch_all(&self.0.pool)).await?;
        Ok(rows.iter().map(user).collect::<Result<_, _>>()?)
    }

    /// # Errors
    /// There is no such user, or PostgreSQL does not reply.
    pub async fn user(&self, name: &UserName) -> Result<User, AccountsError> {
        let users = self.users().await?;
        let found = users
            .into_iter()
            .find(|user| user.name.to_lowercase() == key(name));
        Ok(found.ok_or(Error::NoSuchUser)?)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// The name is taken, the password is invalid, or PostgreSQL does not reply.
    pub async fn add_user(
        &self,
        name: &UserName,
        grant: &Grant,
        password: &Secret,
        act: Act,
    ) -> Result<(), AccountsError> {
        let hash = self.hash(name, password).await?;
        let act = act.on(name.as_str()).from_to(None, Some(grant_json(grant)));
        within(async {
            let mut transaction = self.change_accounts().await?;
            let query = sqlx::query(
                "INSERT INTO account (key, name, role, shops, password) \
                 SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM account) < $6 ON CONFLICT DO NOTHING",
            );
            let query = query
                .bind(key(name))
                .bind(name.as_str())
                .bind(grant.role.name())
                .bind(grant.shops.for_sql())
                .bind(hash)
                .bind(MAX_USERS);
            let added = query.execute(&mut *transaction).await?.rows_affected() == 1;
            if !added {
                let is_taken = stored_grant(&mut transaction, name).await?.is_some();
                return Ok(Err(match is_taken {
                    true => Error::UserExists,
                    false => Error::TooMany("5,000 users"),
                }));
            }
            record(&mut transaction, &act).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await??;
        Ok(())
    }

    /// Changes a user. A new password ends the user's sessions except `keep`.
    ///
    /// # Errors
    /// There is no such user, it is the last administrator, the password is invalid, or PostgreSQL does not reply.
    pub async fn change_user(
        &self,
        name: &UserName,
        change: UserChange,
        keep: Option<&str>,
        act: Act,
    ) -> Result<(), AccountsError> {
        let hash = match &change.password {
            Some(password) => Some(self.hash(name, password).await?),
            None => None,
        };
        within(async {
            let mut transaction = self.change_accounts().await?;
            let Some(before) = stored_grant(&mut transaction, name).await? else {
                return Ok(Err(Error::NoSuchUser));
            };
            let after = change.grant.unwrap_or_else(|| before.clone());
            if before.role == Role::Administrator
                && after.role != Role::Administrator
                && is_last_administrator(&mut transaction).await?
            {
                return Ok(Err(Error::LastAdministrator));
            }
            let query = sqlx::query(
                "UPDATE account SET role = $2, shops = $3, password = coalesce($4, password) WHERE key = $1",
            );
            let query = query
                .bind(key(name))
                .bind(after.role.name())
                .bind(after.shops.for_sql())
                .bind(&hash);
            query.execute(&mut *transaction).await?;
            let mut description = grant_json(&after);
            if hash.is_some() {
                description["password"] = "changed".into();
                sqlx::query("DELETE FROM credential WHERE account = $1 AND id IS DISTINCT FROM $2")
                    .bind(key(name))
                    .bind(keep)
                    .execute(&mut *transaction)
                    .await?;
            }
            let act = act
                .on(name.as_str())
                .from_to(Some(grant_json(&before)), Some(description));
            record(&mut transaction, &act).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await??;
        Ok(())
    }

    /// Removes a user and ends the user's sessions.
    ///
    /// # Errors
    /// There is no such user, it is the last administrator, or PostgreSQL does not reply.
    pub async fn remove_user(&self, name: &UserName, act: Act) -> Result<(), AccountsError> {
        within(async {
            let mut transaction = self.change_accounts().await?;
            let Some(before) = stored_grant(&mut transaction, name).await? else {
                return Ok(Err(Error::NoSuchUser));
            };
            if before.role == Role::Administrator && is_last_administrator(&mut transaction).await? {
                return Ok(Err(Error::LastAdministrator));
            }
            sqlx::query("DELETE FROM account WHERE key = $1")
                .bind(key(name))
                .execute(&mut *transaction)
                .await?;
            let act = act.on(name.as_str()).from_to(Some(grant_json(&before)), None);
            record(&mut transaction, &act).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await??;
        Ok(())
    }

    /// Checks a new password and hashes it.
    async fn hash(&self, name: &UserName, password: &Secret) -> Result<String, Error> {
        check_password(password.reveal(), name.as_str(), PROGRAM)?;
        self.0.passwords.hash(password).await
    }

    /// Begins a transaction that nobody else changes accounts in, so that two administrators cannot remove each other.
    async fn change_accounts(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut transaction = self.0.pool.begin().await?;
        sqlx::query("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }
}

async fn stored_grant(connection: &mut PgConnection, name: &UserName) -> Result<Option<Grant>, sqlx::Error> {
    let query = sqlx::query("SELECT role, shops FROM account WHERE key = $1").bind(key(name));
    let row = query.fetch_optional(connection).await?;
    row.as_ref().map(grant).transpose()
}

async fn is_last_administrator(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT count(*) < 2 FROM account WHERE role = 'administrator'");
    query.fetch_one(connection).await
}
