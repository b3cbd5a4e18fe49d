//! The tables of the written pages list what the code has, no more and no less.

use std::collections::BTreeSet;
use std::fs;

use comptoir_gateway::http::ProblemType;
use comptoir_gateway::http::api::openapi;
use serde_json::{Value, json};

use super::folder;

fn page(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// The cells of each row of each table.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn http_md_lists_every_problem_as_it_is_defined() {
    let page = page("http.md");
    let rows = rows(&page);
    for problem in ProblemType::ALL {
        let definition = problem.definition();
        let urn = json!(problem).as_str().unwrap().to_owned();
        let name = format!("`{}`", urn.trim_start_matches("urn:comptoir:problem:"));
        let row = rows
            .iter()
            .find(|row| row[0] == name)
            .unwrap_or_else(|| panic!("{name} is not in http.md"));
        let retry_after = definition.retry_after.map(|seconds| seconds.to_string());
        assert_eq!(
            row[1..4],
            [
                definition.status.as_u16().to_string(),
                json!(definition.stored).as_str().unwrap().to_owned(),
                retry_after.unwrap_or_default(),
            ],
            "{name}"
        );
    }
}

#[test]
fn http_md_lists_every_endpoint_and_every_cause_of_a_dead_letter() {
    let page = page("http.md");
    let document = serde_json::to_value(openapi::document()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        assert!(page.contains(&format!("{path}`")), "{path} is not in http.md");
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let is_listed = page
                .lines()
                .any(|line| line.starts_with(&format!("| `{method} ")) && line.contains(&format!("{path}`")));
            assert!(is_listed, "{method} {path} is not in http.md");
        }
    }
    let causes = document["components"]["schemas"]["DeadLetterCause"].clone();
    let causes: Vec<String> = match causes.get("enum").cloned() {
        Some(values) => serde_json::from_value(values).unwrap(),
        None => causes["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let value = one
                    .get("const")
                    .cloned()
                    .unwrap_or_else(|| one["enum"][0].clone());
                value.as_str().unwrap().to_owned()
            })
            .collect(),
    };
    assert!(causes.contains(&"invalid_field".to_owned()), "{causes:?}");
    for cause in causes {
        assert!(
            page.contains(&format!("| `{cause}` |")),
            "{cause} is not in http.md"
        );
    }
}

/// The packaged configuration has every key; a test of the gateway keeps that.
#[test]
fn configuration_md_lists_every_key_with_its_variable() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/debian/gateway.toml");
    let toml = fs::read_to_string(file).unwrap();
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c == '.')
        {
            keys.insert(match section {
                "" => key.to_owned(),
                // These are librdkafka's.
                "kafka.properties" => section.to_owned(),
                section => format!("{section}.{key}"),
            });
        }
    }
    assert!(keys.len() > 15, "{keys:?}");
    let page = page("configuration.md");
    let rows = rows(&page);
    let listed: BTreeSet<String> = rows
        .iter()
        .filter(|row| row[0].starts_with('`') && row.len() == 5)
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(listed, keys);
    for row in rows
        .iter()
        .filter(|row| row[0].starts_with('`') && row.len() == 5)
    {
        let key = row[0].trim_matches('`');
        let variable = format!("`COMPTOIR_{}", key.replace('.', "__").to_uppercase());
        assert!(
            row[3].starts_with(&variable),
            "{key}: {} is not {variable}",
            row[3]
        );
    }
}

#[test]
fn every_link_of_the_pages_has_a_target() {
    for name in [
        "topics.md",
        "http.md",
        "live.md",
        "configuration.md",
        "command-line.md",
    ] {
        let page = page(name);
        for link in page.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") {
                assert!(fs::exists(folder().join(file)).unwrap(), "{name}: {target}");
            }
        }
    }
}

/// Without this, a schema that accepts everything would pass the tests of the messages.
#[test]
fn every_generated_schema_describes_an_object() {
    for (name, schema) in super::schemas::all() {
        let is_object = schema["type"] == "object"
            || schema["oneOf"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one["type"] == "object"));
        assert!(is_object, "{name}");
        assert!(
            schema["title"].is_string() && schema["$schema"] != Value::Null,
            "{name}"
        );
    }
}
