//! Keeps `docs/guarantees.md` complete: every test that it names exists, and it names every test in `tests/claims`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of claims begin with this in the table. Other names begin with a file.
const CLAIMS: &str = "claims";

fn gateway() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> String {
    fs::read_to_string(gateway().join("docs/guarantees.md")).unwrap()
}

/// The tests named in the table: code spans with `::` in the rows of a Markdown table.
fn named_tests(markdown: &str) -> BTreeSet<String> {
    let rows = markdown.lines().filter(|line| line.starts_with('|'));
    let spans = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    spans
        .filter(|span| span.contains("::"))
        .map(str::to_owned)
        .collect()
}

/// The names of the test functions in a Rust file. One in `mod tests` has the prefix `tests::`, as in Cargo's output.
fn test_functions(code: &str) -> Vec<String> {
    let (mut tests, mut is_test) = (Vec::new(), false);
    for line in code.lines() {
        let statement = line.trim_start();
        if statement.starts_with("#[test]") || statement.starts_with("#[tokio::test") {
            is_test = true;
        }
        let signature = statement.strip_prefix("async ").unwrap_or(statement);
        if let Some(signature) = signature.strip_prefix("fn ").filter(|_| is_test) {
            let name: String = signature
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let module = if statement.len() < line.len() {
                "tests::"
            } else {
                ""
            };
            tests.push(format!("{module}{name}"));
            is_test = false;
        }
    }
    tests
}

/// Adds the claims in a folder, named as in the table. `module` is the path of the folder's module.
fn add_claims(folder: &Path, module: &str, claims: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let child = format!("{module}::{stem}");
        if path.is_dir() {
            add_claims(&path, &child, claims);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if matches!(&*stem, "main" | "mod") {
                module
            } else {
                &child
            };
            let code = fs::read_to_string(&path).unwrap();
            claims.extend(
                test_functions(&code)
                    .iter()
                    .map(|name| format!("{module}::{name}")),
            );
        }
    }
}

fn claims() -> BTreeSet<String> {
    let mut claims = BTreeSet::new();
    add_claims(&gateway().join("tests/claims"), CLAIMS, &mut claims);
    claims
}

/// Whether `FILE::NAME` exists: a test function of a Rust file, or the title of a test in a TypeScript file.
fn is_in_its_file(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else {
        return false;
    };
    let Ok(code) = fs::read_to_string(gateway().join("..").join(file)) else {
        return false;
    };
    if file.ends_with(".rs") {
        let is_named = |test: &String| test.trim_start_matches("tests::") == name;
        return test_functions(&code).iter().any(is_named);
    }
    ['\'', '"', '`']
        .iter()
        .any(|quote| code.contains(&format!("{quote}{name}{quote}")))
}

#[test]
fn every_test_in_the_table_of_guarantees_exists() {
    let claims = claims();
    let is_claim = |test: &str| test.starts_with(CLAIMS) && claims.contains(test);
    let unknown: Vec<_> = named_tests(&table())
        .into_iter()
        .filter(|test| !is_claim(test) && !is_in_its_file(test))
        .collect();
    assert!(
        unknown.is_empty(),
        "gateway/docs/guarantees.md names tests that do not exist; rename or remove them: {unknown:#?}"
    );
}

#[test]
fn every_claim_is_in_the_table_of_guarantees() {
    let named = named_tests(&table());
    let missing: Vec<_> = claims()
        .into_iter()
        .filter(|test| !named.contains(test))
        .collect();
    assert!(
        missing.is_empty(),
        "gateway/docs/guarantees.md does not name these tests; add each to the promise that it shows: {missing:#?}"
    );
}

/// Without a test, a row is a promise that nothing keeps.
#[test]
fn every_promise_in_the_table_of_guarantees_has_a_test() {
    let table = table();
    let is_heading = |row: &str| row.starts_with("| Promise") || row.starts_with("| ---");
    let promises: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with('|') && !is_heading(line))
        .collect();
    assert!(promises.len() > 40, "only {} promises were found", promises.len());
    for promise in promises {
        assert!(!named_tests(promise).is_empty(), "no test: {promise}");
    }
}

/// The positive control: the readers of the table and of the code find tests, and notice absent ones.
#[test]
fn an_absent_test_would_be_noticed() {
    let table = "| A promise | `claims::a::b` (`make soak`)<br>`x.rs::c` |\nProse with `claims::z::z`.";
    let expected = ["claims::a::b", "x.rs::c"].map(str::to_owned);
    assert_eq!(named_tests(table), BTreeSet::from(expected));

    let code = "#[tokio::test(flavor = \"multi_thread\")]\n#[ignore = \"slow\"]\nasync fn one() {}\nfn helper() {}\n\
                mod tests {\n    #[test]\n    fn two() {}\n}";
    assert_eq!(test_functions(code), ["one", "tests::two"]);

    assert!(claims().len() > 100, "only {} claims were found", claims().len());
    assert!(is_in_its_file(
        "gateway/tests/guarantees.rs::an_absent_test_would_be_noticed"
    ));
    assert!(!is_in_its_file("gateway/tests/guarantees.rs::no_such_test"));
    assert!(!is_in_its_file("gateway/tests/no_such_file.rs::no_such_test"));
    let page_test = "web/e2e/shop/https.spec.ts::over HTTPS the page is live and can be installed";
    assert!(is_in_its_file(page_test));
}
