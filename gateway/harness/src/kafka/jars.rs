//! Finds the jars of the Kafka server, which `kafka/fetch.sh` puts into the cache.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cache::cache;

const POM: &str = include_str!("../../kafka/pom.xml");

/// The folder that `kafka/fetch.sh` has made in the cache.
#[derive(Debug)]
pub(super) struct Jars {
    /// For `java -cp`. Sorted, because the JVM uses a class archive only with the class path it was made with.
    pub(super) class_path: String,
    folder: PathBuf,
    /// The archive of loaded classes (AppCDS), which halves the start time. The JVM ignores an archive that does not fit.
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
            folder,
        })
    }

    /// For the tools of Kafka, such as `kafka-acls.sh`.
    pub(super) fn tools_class_path(&self) -> Result<String> {
        let tools = self.folder.join("tools");
        ensure!(
            tools.is_dir(),
            "Kafka's tools are not in {}: run gateway/harness/kafka/fetch.sh once (`make kafka` does)",
            tools.display()
        );
        Ok(format!("{}/*:{}", tools.display(), self.class_path))
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
