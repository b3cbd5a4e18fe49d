//! Checks that a PostgreSQL server and its database meet the office's requirements.

use sqlx::{PgConnection, Row as _};

/// The oldest supported version, in the format of `server_version_num`.
const LEAST_VERSION: i32 = 15_00_00;
/// UTF-8, because names of customers and products are in many scripts.
const ENCODING: &str = "UTF8";

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Query(#[from] sqlx::Error),
    #[error("PostgreSQL {found} is too old: version 15 or later is needed")]
    Version { found: String },
    #[error(
        "the database has the encoding {found}, and UTF8 is needed: CREATE DATABASE comptoir ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding { found: String },
}

/// # Errors
/// PostgreSQL does not reply, is too old, or the database has another encoding than UTF-8.
pub async fn check_server(connection: &mut PgConnection) -> Result<(), ServerError> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version, \
         current_setting('server_encoding') AS encoding",
    )
    .fetch_one(connection)
    .await?;
    if row.try_get::<i32, _>("number")? < LEAST_VERSION {
        let found = row.try_get("version")?;
        return Err(ServerError::Version { found });
    }
    let found: String = row.try_get("encoding")?;
    match found == ENCODING {
        true => Ok(()),
        false => Err(ServerError::Encoding { found }),
    }
}
