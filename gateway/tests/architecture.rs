//! The arrows of `docs/architecture.md`: who may know whom. A `use` or a dependency the wrong way fails here.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates of the gateway, each with the crates of this workspace that it may depend on.
const CRATES: [(&str, &[&str]); 12] = [
    ("comptoir-alerts", &["comptoir-core"]),
    ("comptoir-core", &["comptoir-wire"]),
    ("comptoir-http-rules", &[]),
    ("comptoir-identity", &["comptoir-core", "comptoir-migrate"]),
    ("comptoir-invent", &["comptoir-wire"]),
    ("comptoir-journal", &["comptoir-core", "comptoir-migrate"]),
    ("comptoir-kafka", &["comptoir-core"]),
    ("comptoir-migrate", &[]),
    ("comptoir-mqtt", &[]),
    (
        "comptoir-office",
        &[
            "comptoir-alerts",
            "comptoir-core",
            "comptoir-http-rules",
            "comptoir-identity",
            "comptoir-kafka",
            "comptoir-migrate",
            "comptoir-pages",
        ],
    ),
    ("comptoir-pages", &[]),
    (
        "comptoir-gateway",
        &[
            "comptoir-alerts",
            "comptoir-core",
            "comptoir-http-rules",
            "comptoir-identity",
            "comptoir-invent",
            "comptoir-journal",
            "comptoir-kafka",
            "comptoir-migrate",
            "comptoir-mqtt",
            "comptoir-pages",
            "comptoir-sim",
            "comptoir-wire",
        ],
    ),
];

/// External crates that only one crate of the gateway may depend on, because everybody else goes through it.
const OWNED: [(&str, &str); 4] = [
    ("lettre", "comptoir-alerts"),
    ("rdkafka", "comptoir-kafka"),
    ("rumqttc", "comptoir-mqtt"),
    ("fake", "comptoir-invent"),
];

/// The modules of `gateway/src`, each with the modules that it may use. Those further down may use those further up.
const MODULES: [(&str, &[&str]); 13] = [
    ("config", &[]),
    ("platform", &["config"]),
    ("projection", &[]),
    ("archive", &["platform"]),
    ("audit", &[]),
    ("bridge", &["platform"]),
    ("ingest", &["config", "platform"]),
    ("commands", &["ingest", "platform"]),
    ("fleet", &["archive", "ingest", "platform"]),
    ("alerts", &["config", "fleet", "platform"]),
    ("http", &["archive", "config", "ingest", "platform", "projection"]),
    (
        "app",
        &[
            "alerts",
            "archive",
            "audit",
            "bridge",
            "commands",
            "config",
            "fleet",
            "http",
            "ingest",
            "platform",
            "projection",
        ],
    ),
    (
        "cli",
        &["alerts", "app", "archive", "config", "http", "ingest", "platform"],
    ),
];

/// Crates that only these modules of the gateway may use.
const CRATE_USERS: [(&str, &[&str]); 8] = [
    ("comptoir_alerts", &["alerts", "cli", "config"]),
    ("comptoir_http_rules", &["archive", "http"]),
    ("comptoir_identity", &["app", "audit", "cli", "http"]),
    (
        "comptoir_kafka",
        &["app", "bridge", "cli", "commands", "fleet", "http", "projection"],
    ),
    ("comptoir_mqtt", &["ingest"]),
    ("comptoir_pages", &["http"]),
    ("comptoir_sim", &["cli"]),
    ("comptoir_invent", &["http"]),
];

fn gateway() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Production dependencies of each package of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(gateway())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let production = all.filter(|dependency| dependency["kind"] != "dev");
            (name(package), production.map(name).collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_in_the_direction_of_the_map() {
    let dependencies = dependencies();
    for (of, allowed) in CRATES {
        let present = dependencies[of]
            .iter()
            .filter(|name| name.starts_with("comptoir-"));
        let wrong: Vec<_> = present.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{of} must not depend on {wrong:?}");
    }
}

#[test]
fn each_owned_library_is_a_dependency_of_one_crate_only() {
    let dependencies = dependencies();
    // Tests and tools use the clients directly, to see what others see.
    let production = CRATES.map(|(name, _)| name);
    for (library, owner) in OWNED {
        let users = production
            .iter()
            .filter(|name| dependencies[**name].contains(library));
        assert_eq!(users.collect::<Vec<_>>(), [&owner], "{library}");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The production code of each module, with its file's name: without comments, and without unit tests, which come last.
fn code(module: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let folder = gateway().join("src").join(module);
    match folder.is_dir() {
        true => sources(&folder, &mut files),
        false => files.push(folder.with_extension("rs")),
    }
    files.retain(|file| !file.ends_with("tests.rs"));
    files.retain(|file| !file.to_string_lossy().ends_with("_tests.rs"));
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let production = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = production
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        (file, code.collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// What follows `crate::` at each place where it stands.
fn crate_paths(code: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.split("crate::")
        .skip(1)
        .map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

#[test]
fn modules_use_one_another_only_in_the_direction_of_the_map() {
    for (module, allowed) in MODULES {
        for (file, code) in code(module) {
            for used in crate_paths(&code) {
                assert!(
                    !used.is_empty(),
                    "{}: write one `crate::` path a line",
                    file.display()
                );
                assert!(
                    used == module || allowed.contains(&used),
                    "{}: {module} must not use {used}",
                    file.display()
                );
            }
            for (library, users) in CRATE_USERS {
                let is_used =
                    code.contains(&format!("{library}::")) || code.contains(&format!("use {library} "));
                assert!(
                    !is_used || users.contains(&module),
                    "{}: {module} must not use {library}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_module_and_every_crate_is_on_the_map() {
    let listed = |name: &str| MODULES.iter().any(|(module, _)| *module == name);
    for entry in fs::read_dir(gateway().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(listed(&name) || name == "main" || name == "lib", "{name}");
    }
    let map = fs::read_to_string(gateway().join("docs/architecture.md")).unwrap();
    for (name, _) in CRATES.into_iter().chain(MODULES) {
        let short = name.trim_start_matches("comptoir-");
        assert!(
            map.contains(&format!("`{short}`")) || map.contains(short),
            "{name} is not in architecture.md"
        );
    }
}

/// The paths in backticks that begin at the top of the repository.
fn paths(map: &str) -> impl Iterator<Item = &str> {
    const TOP: [&str; 4] = ["gateway/", "firmware/", "web/", "deploy/"];
    map.split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| TOP.iter().any(|top| quoted.starts_with(top)))
}

#[test]
fn every_file_and_folder_that_the_map_names_exists() {
    let map = fs::read_to_string(gateway().join("docs/architecture.md")).unwrap();
    let top = gateway().join("..");
    let named: Vec<_> = paths(&map).collect();
    assert!(named.len() > 40, "only {} paths were found", named.len());
    let absent: Vec<_> = named
        .into_iter()
        .filter(|path| !top.join(path).exists())
        .collect();
    assert!(absent.is_empty(), "{absent:?}");
}

/// A positive control: the reader of paths sees a wrong arrow.
#[test]
fn a_wrong_arrow_would_be_seen() {
    let code = "use crate::http::AppState;\nfn f() { crate::app::start() }";
    assert_eq!(crate_paths(code).collect::<Vec<_>>(), ["http", "app"]);
}
