//! `docs/interfaces`: generates the AsyncAPI document and the JSON Schemas, and compares what is written there with what the
//! code does.
//!
//! `COMPTOIR_WRITE_INTERFACES=1 cargo test -p comptoir-gateway --test interfaces` writes the generated files. Without the
//! variable the test fails if a file is out of date.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "interfaces/asyncapi.rs"]
mod asyncapi;
#[path = "interfaces/golden.rs"]
mod golden;
#[path = "interfaces/pages.rs"]
mod pages;
#[path = "interfaces/schemas.rs"]
mod schemas;

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/interfaces")
}

#[test]
fn the_generated_documents_are_up_to_date() {
    let schemas = schemas::all()
        .into_iter()
        .map(|(name, schema)| (format!("schemas/{name}.json"), schema));
    let documents: Vec<(String, Value)> = schemas
        .chain([("asyncapi.json".to_owned(), asyncapi::document())])
        .collect();
    for (name, document) in &documents {
        let file = folder().join(name);
        let text = format!("{document:#}\n");
        if env::var_os("COMPTOIR_WRITE_INTERFACES").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == text,
            "{name} is out of date; run COMPTOIR_WRITE_INTERFACES=1 cargo test -p comptoir-gateway --test interfaces"
        );
    }
    for entry in fs::read_dir(folder().join("schemas")).unwrap() {
        let name = format!("schemas/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(
            documents.iter().any(|(document, _)| *document == name),
            "{name} is not generated any more; delete it"
        );
    }
}
