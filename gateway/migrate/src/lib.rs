//! SQL migrations that are embedded in the program.
//!
//! `sqlx::migrate!` would do the same, but it needs sqlx and SQLite for the compiler's own use: both are then compiled
//! twice, which takes a minute on a small machine. Descriptions and checksums are the same as that macro's, because
//! databases that it has migrated store them.

use std::borrow::Cow;
use std::ffi::OsStr;

/// For [`embedded`], whose expansion needs it.
#[doc(hidden)]
pub use include_dir;
use include_dir::{Dir, File};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

/// The [`Migrator`] with the files of the calling crate's folder `migrations`, which are embedded. A file's name is the
/// version, `_` and the description: `0002_gone_and_copies.sql`. Other files are ignored.
#[macro_export]
macro_rules! embedded {
    () => {{
        use $crate::include_dir;
        static FOLDER: include_dir::Dir<'static> =
            include_dir::include_dir!("$CARGO_MANIFEST_DIR/migrations");
        $crate::migrator(&FOLDER)
    }};
}

/// The migrations of an embedded folder; see [`embedded`].
pub fn migrator(folder: &'static Dir<'static>) -> Migrator {
    Migrator::with_migrations(folder.files().filter_map(migration).collect())
}

fn migration(file: &'static File<'static>) -> Option<Migration> {
    let path = file.path();
    if path.extension() != Some(OsStr::new("sql")) {
        return None;
    }
    let (version, description) = path.file_stem()?.to_str()?.split_once('_')?;
    Some(Migration::new(
        version.parse().ok()?,
        Cow::Owned(description.replace('_', " ")),
        MigrationType::Simple,
        AssertSqlSafe(file.contents_utf8()?).into_sql_str(),
        false,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    static IDENTITY: Dir<'static> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/../identity/migrations");
    static JOURNAL: Dir<'static> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/../journal/migrations");
    static OFFICE: Dir<'static> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/../office/migrations");
    static PROJECTION: Dir<'static> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/../migrations");

    /// A file with a wrong name would be ignored, and the program would run on an old schema.
    #[test]
    fn no_file_of_the_workspace_is_ignored_and_versions_have_no_gap() {
        for folder in [&IDENTITY, &JOURNAL, &OFFICE, &PROJECTION] {
            let versions: Vec<i64> = migrator(folder)
                .iter()
                .map(|migration| migration.version)
                .collect();
            assert_eq!(versions, (1..=folder.files().count() as i64).collect::<Vec<_>>());
        }
    }

    /// The values that `sqlx::migrate!` stored in the journals of earlier versions.
    #[test]
    fn descriptions_and_checksums_are_those_of_the_macro() {
        let migrator = migrator(&JOURNAL);
        let second = migrator.iter().nth(1).unwrap();
        assert_eq!(second.description, "gone and copies");
        let checksum: String = second
            .checksum
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(checksum, "fec13fca847d9be2");
        assert!(!second.no_tx);
    }
}
