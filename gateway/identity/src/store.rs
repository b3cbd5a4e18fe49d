//! The file with users and credentials. Each change is one statement or transaction, so none is applied only in part.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Row as _};

use crate::credential::{Credential, CredentialKind, MAX_SESSIONS, MAX_TOKENS};
use crate::user::{User, UserName};
use crate::{Error, Role};

pub(crate) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| comptoir_migrate::embedded!());

/// How long to wait for the command line, which may be writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Two, because requests mostly read.
const CONNECTIONS: u32 = 2;

const MAX_USERS: i64 = 500;
const MAX_SCREENS: i64 = 100;

pub struct Store(SqlitePool);

/// A user's password hash.
pub struct StoredPassword {
    pub name: UserName,
    pub role: Role,
    /// Argon2id in PHC string format.
    pub hash: String,
}

/// A new credential.
pub struct NewCredential<'a> {
    pub id: &'a str,
    pub digest: [u8; 32],
    pub kind: CredentialKind,
    pub owner: Owner<'a>,
    pub expires_at: Option<Timestamp>,
    pub address: Option<IpAddr>,
    pub agent: Option<&'a str>,
}

pub enum Owner<'a> {
    User(&'a UserName),
    /// A screen or token, with its name and role.
    Label(&'a str, Role),
}

const USERS: &str = "SELECT name, role, created_at, signed_in_at, \
     (SELECT count(*) FROM credentials WHERE user_name = users.name) AS sessions FROM users";

/// Credentials with the name and role of their user, or their own.
const CREDENTIALS: &str = "SELECT c.id, c.kind, coalesce(u.name, c.label) AS name, coalesce(u.role, c.role) AS role, \
     c.created_at, c.used_at, c.expires_at, c.address, c.agent \
     FROM credentials c LEFT JOIN users u ON u.name = c.user_name";

impl Store {
    pub async fn open(path: &Path) -> Result<Self, Error> {
        // SQLite gives its other files the same mode as this one.
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = connect(options).await?;
        // One transaction, so that the gateway and a command that open a new file at the same time do not both migrate
        // it.
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        // Not `run`, whose future is not `Send` for a borrowed connection.
        MIGRATIONS
            .run_direct(None, &mut *transaction, false)
            .await
            .map_err(sqlx::Error::from)?;
        transaction.commit().await?;
        Ok(Self(pool))
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.0
    }

    pub async fn close(&self) {
        self.0.close().await;
    }

    pub async fn has_administrator(&self) -> Result<bool, Error> {
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users WHERE role = 'administrator')");
        Ok(query.fetch_one(&self.0).await?)
    }

    /// The value of a setting, which is first set to `value` if it is missing.
    pub async fn setting(&self, name: &str, value: &str) -> Result<String, Error> {
        sqlx::query("INSERT OR IGNORE INTO settings (name, value) VALUES (?, ?)")
            .bind(name)
            .bind(value)
            .execute(&self.0)
            .await?;
        let query = sqlx::query_scalar("SELECT value FROM settings WHERE name = ?").bind(name);
        Ok(query.fetch_one(&self.0).await?)
    }

    pub async fn remove_setting(&self, name: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM settings WHERE name = ?").bind(name);
        query.execute(&self.0).await?;
        Ok(())
    }

    /// Adds the first administrator. Returns false if one exists.
    pub async fn add_first(&self, name: &UserName, password: &str) -> Result<bool, Error> {
        let name = &self.stored_name(name).await?;
        let query = sqlx::query(
            "INSERT INTO users (name, role, password, created_at) \
             SELECT ?, 'administrator', ?, ? WHERE NOT EXISTS (SELECT 1 FROM users WHERE role = 'administrator') \
             ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password",
        );
        let query = query.bind(name.as_str()).bind(password).bind(now());
        Ok(query.execute(&self.0).await?.rows_affected() == 1)
    }

    /// The stored spelling of a user's name, regardless of case; `name` itself if there is no such user. SQLite ignores
    /// case only for ASCII letters, but phones also capitalise a first letter such as É.
    pub async fn stored_name(&self, name: &UserName) -> Result<UserName, Error> {
        if name.as_str().is_ascii() {
            return Ok(name.clone());
        }
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM users")
            .fetch_all(&self.0)
            .await?;
        let folded = name.as_str().to_lowercase();
        // Earlier versions allowed two users whose names differ only in the case of such a letter.
        let exact = names.iter().find(|stored| *stored == name.as_str());
        let found = exact.or_else(|| names.iter().find(|stored| stored.to_lowercase() == folded));
        Ok(found
            .and_then(|found| UserName::new(found).ok())
            .unwrap_or_else(|| name.clone()))
    }

    pub async fn add_user(&self, name: &UserName, role: Role, password: &str) -> Result<(), Error> {
        let name = &self.stored_name(name).await?;
        let query = sqlx::query(
            "INSERT INTO users (name, role, password, created_at) \
             SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM users) < ?",
        );
        let query = query
            .bind(name.as_str())
            .bind(role.name())
            .bind(password)
            .bind(now());
        match query.bind(MAX_USERS).execute(&self.0).await {
            Ok(done) if done.rows_affected() == 0 => Err(Error::TooMany("500 users")),
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(Error::UserExists),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn users(&self) -> Result<Vec<User>, Error> {
        let sql = format!("{USERS} ORDER BY name");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.0).await?;
        rows.iter().map(user).collect()
    }

    pub async fn user(&self, name: &UserName) -> Result<Option<User>, Error> {
        let name = &self.stored_name(name).await?;
        let sql = format!("{USERS} WHERE name = ?");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(name.as_str());
        let row = query.fetch_optional(&self.0).await?;
        row.as_ref().map(user).transpose()
    }

    pub async fn password(&self, name: &UserName) -> Result<Option<StoredPassword>, Error> {
        let name = &self.stored_name(name).await?;
        let query = sqlx::query("SELECT name, role, password FROM users WHERE name = ?").bind(name.as_str());
        let row = query.fetch_optional(&self.0).await?;
        row.as_ref().map(stored_password).transpose()
    }

    /// The passwords of all users.
    pub async fn passwords(&self) -> Result<Vec<StoredPassword>, Error> {
        let query = sqlx::query("SELECT name, role, password FROM users");
        let rows = query.fetch_all(&self.0).await?;
        rows.iter().map(stored_password).collect()
    }

    pub async fn set_password(&self, name: &UserName, password: &str) -> Result<(), Error> {
        let name = &self.stored_name(name).await?;
        let query = sqlx::query("UPDATE users SET password = ? WHERE name = ?");
        let query = query.bind(password).bind(name.as_str());
        match query.execute(&self.0).await?.rows_affected() {
            0 => Err(Error::NoSuchUser),
            _ => Ok(()),
        }
    }

    pub async fn set_role(&self, name: &UserName, role: Role) -> Result<(), Error> {
        let name = &self.stored_name(name).await?;
        let query = sqlx::query(
            "UPDATE users SET role = ?1 WHERE name = ?2 AND (?1 = 'administrator' OR role <> 'administrator' \
             OR (SELECT count(*) FROM users WHERE role = 'administrator') > 1)",
        );
        let query = query.bind(role.name()).bind(name.as_str());
        match query.execute(&self.0).await?.rows_affected() {
            0 => Err(self.why_unchanged(name).await?),
            _ => Ok(()),
        }
    }

    pub async fn remove_user(&self, name: &UserName) -> Result<(), Error> {
        let name = &self.stored_name(name).await?;
        let query = sqlx::query(
            "DELETE FROM users WHERE name = ? AND (role <> 'administrator' \
             OR (SELECT count(*) FROM users WHERE role = 'administrator') > 1)",
        );
        match query.bind(name.as_str()).execute(&self.0).await?.rows_affected() {
            0 => Err(self.why_unchanged(name).await?),
            _ => Ok(()),
        }
    }

    async fn why_unchanged(&self, name: &UserName) -> Result<Error, Error> {
        Ok(match self.user(name).await? {
            Some(_) => Error::LastAdministrator,
            None => Error::NoSuchUser,
        })
    }

    pub async fn signed_in(&self, name: &UserName) -> Result<(), Error> {
        let query = sqlx::query("UPDATE users SET signed_in_at = ? WHERE name = ?");
        query.bind(now()).bind(name.as_str()).execute(&self.0).await?;
        Ok(())
    }

    pub async fn add_credential(&self, new: NewCredential<'_>) -> Result<(), Error> {
        let (user, label, role) = match new.owner {
            Owner::User(name) => (Some(name.as_str()), None, None),
            Owner::Label(label, role) => (None, Some(label), Some(role.name())),
        };
        let (limit, of) = match new.kind {
            CredentialKind::Session => (MAX_SESSIONS, "20 sessions"),
            CredentialKind::Screen => (MAX_SCREENS, "100 screens"),
            CredentialKind::Token => (MAX_TOKENS, "500 tokens"),
        };
        // One transaction, so that sessions that start at the same moment do not take the place that one of them has
        // freed.
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        if new.kind == CredentialKind::Session {
            end_idle_sessions(&mut transaction, user, limit - 1).await?;
        }
        let query = sqlx::query(
            "INSERT INTO credentials (id, digest, kind, user_name, label, role, created_at, used_at, expires_at, address, agent) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10 \
             WHERE (SELECT count(*) FROM credentials WHERE kind = ?3 AND user_name IS ?4) < ?11",
        );
        let added = query
            .bind(new.id)
            .bind(&new.digest[..])
            .bind(new.kind.name())
            .bind(user)
            .bind(label)
            .bind(role)
            .bind(now())
            .bind(new.expires_at.map(Timestamp::as_millisecond))
            .bind(new.address.map(|address| address.to_string()))
            .bind(new.agent)
            .bind(limit)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        match added.rows_affected() {
            0 => Err(Error::TooMany(of)),
            _ => Ok(()),
        }
    }

    pub async fn credential(&self, digest: [u8; 32]) -> Result<Option<Credential>, Error> {
        let sql = format!("{CREDENTIALS} WHERE c.digest = ?");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(digest.to_vec());
        let row = query.fetch_optional(&self.0).await?;
        row.as_ref().map(credential).transpose()
    }

    /// Credentials, most recently used first.
    pub async fn credentials(&self) -> Result<Vec<Credential>, Error> {
        let sql = format!("{CREDENTIALS} ORDER BY c.used_at DESC");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.0).await?;
        rows.iter().map(credential).collect()
    }

    pub async fn used(&self, id: &str, address: Option<IpAddr>) -> Result<(), Error> {
        let query =
            sqlx::query("UPDATE credentials SET used_at = ?, address = coalesce(?, address) WHERE id = ?");
        let query = query.bind(now()).bind(address.map(|address| address.to_string()));
        query.bind(id).execute(&self.0).await?;
        Ok(())
    }

    pub async fn end(&self, id: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM credentials WHERE id = ?").bind(id);
        match query.execute(&self.0).await?.rows_affected() {
            0 => Err(Error::NoSuchCredential),
            _ => Ok(()),
        }
    }

    /// Ends all sessions of a user except `except`.
    pub async fn end_sessions(&self, user: &UserName, except: Option<&str>) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM credentials WHERE user_name = ? AND id IS NOT ?");
        query.bind(user.as_str()).bind(except).execute(&self.0).await?;
        Ok(())
    }
}

/// Opens connections to the file. SQLite does not wait while another process switches a new file to WAL, so this
/// function does.
async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let end = Instant::now() + BUSY_TIMEOUT;
    loop {
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
        match pool.connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && Instant::now() < end => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn is_busy(error: &dyn DatabaseError) -> bool {
    const BUSY: &str = "5";
    error.code().is_some_and(|code| code == BUSY)
}

/// Ends the user's sessions that have been idle longest, keeping `keep` of them.
async fn end_idle_sessions(
    connection: &mut SqliteConnection,
    user: Option<&str>,
    keep: i64,
) -> Result<(), Error> {
    let query = sqlx::query(
        "DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE kind = 'session' AND user_name IS ? \
         ORDER BY used_at DESC LIMIT -1 OFFSET ?)",
    );
    query.bind(user).bind(keep).execute(connection).await?;
    Ok(())
}

/// The current time in the file's format: milliseconds since 1970.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

pub fn damaged(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the accounts file has an unknown {column}").into())
}

pub fn time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, Error> {
    let ms: Option<i64> = row.try_get(column)?;
    Ok(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
}

fn role(row: &SqliteRow) -> Result<Role, Error> {
    let role: &str = row.try_get("role")?;
    role.parse().map_err(|_| damaged("role").into())
}

fn stored_password(row: &SqliteRow) -> Result<StoredPassword, Error> {
    Ok(StoredPassword {
        name: user_name(row, "name")?,
        role: role(row)?,
        hash: row.try_get("password")?,
    })
}

fn user_name(row: &SqliteRow, column: &str) -> Result<UserName, Error> {
    UserName::new(row.try_get(column)?).map_err(|_| damaged("name").into())
}

fn user(row: &SqliteRow) -> Result<User, Error> {
    Ok(User {
        name: user_name(row, "name")?,
        role: role(row)?,
        created_at: time(row, "created_at")?.unwrap_or_default(),
        signed_in_at: time(row, "signed_in_at")?,
        sessions: row.try_get::<i64, _>("sessions")?.unsigned_abs(),
    })
}

fn credential(row: &SqliteRow) -> Result<Credential, Error> {
    let kind = CredentialKind::from_name(row.try_get("kind")?).ok_or_else(|| damaged("kind"))?;
    let address: Option<&str> = row.try_get("address")?;
    Ok(Credential {
        id: row.try_get("id")?,
        kind,
        name: row.try_get("name")?,
        role: role(row)?,
        created_at: time(row, "created_at")?.unwrap_or_default(),
        used_at: time(row, "used_at")?.unwrap_or_default(),
        expires_at: time(row, "expires_at")?,
        address: address.and_then(|address| address.parse().ok()),
        agent: row.try_get("agent")?,
    })
}

/// Whether SQLite reports that the file is damaged or not a database.
pub fn is_damage(error: &Error) -> bool {
    const CORRUPT: &str = "11";
    const NOT_A_DATABASE: &str = "26";
    let Error::Storage(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error
        .code()
        .is_some_and(|code| code == CORRUPT || code == NOT_A_DATABASE)
}
