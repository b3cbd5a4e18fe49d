//! Where the server's jars are. `kafka/fetch.sh` puts them there.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cache::cache;

const POM: &str = include_str!("../../kafka/pom.xml");

/// A folder of the cache, as `kafka/fetch.sh` leaves it.
#[derive(Debug)]
pub(super) struct Jars {
    /// For `java -cp`. Sorted: a class archive is only used with the class path it was made with.
    pub(super) class_path: String,
    /// The archive of loaded classes (AppCDS), which halves the start. The JVM ignores one that does not fit.
    pub(super) class_archive: PathBuf,
}

impl Jars {
    pub(super) fn find() -> Result<Self> {
        let folder = cache()?.join(format!("kafka-{}", version()?));
        let missing = || {
            format!(
                "Kafka is not in {}: run gateway/harness/kafka/fetch.sh once (`make kafka` does)",
                folder.display()
            )
        };
        let mut jars = Vec::new();
        for entry in fs::read_dir(folder.join("lib")).with_context(missing)? {
            jars.push(entry?.path().display().to_string());
        }
        jars.sort();
        Ok(Self {
            class_path: jars.join(":"),
            class_archive: folder.join("classes.jsa"),
        })
    }
}

fn version() -> Result<&'static str> {
    let (_, rest) = POM
        .split_once("<kafka.version>")
        .context("kafka/pom.xml has no kafka.version")?;
    rest.split('<')
        .next()
        .context("kafka/pom.xml has no kafka.version")
}
