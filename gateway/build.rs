//! Builds the pages (`web/`), compressed, for `dashboard::pages` to embed.
//!
//! `COMPTOIR_WEB_DIST` names a folder with pages that are built already: for a machine without Node.js, or for
//! building for several targets.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What the pages are made of.
const SOURCES: [&str; 8] = [
    "index.html",
    "package.json",
    "package-lock.json",
    "public",
    "scripts",
    "src",
    "svelte.config.js",
    "vite.config.ts",
];

fn main() {
    println!("cargo::rerun-if-env-changed=COMPTOIR_WEB_DIST");
    if let Err(problem) = build() {
        println!("cargo::error={problem}");
    }
}

fn folder(name: &str) -> Result<PathBuf, String> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or(format!("{name} is not set"))
}

fn build() -> Result<(), String> {
    let pages = folder("OUT_DIR")?.join("web");
    if let Some(dist) = env::var_os("COMPTOIR_WEB_DIST") {
        let dist = PathBuf::from(dist);
        println!("cargo::rerun-if-changed={}", dist.display());
        return copy(&dist, &pages)
            .map_err(|error| format!("COMPTOIR_WEB_DIST: {}: {error}", dist.display()));
    }
    let web = folder("CARGO_MANIFEST_DIR")?.join("../web");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    if !installed(&web) {
        npm(&web, &["ci", "--no-audit", "--no-fund"])?;
    }
    let out = pages.to_string_lossy();
    npm(&web, &["run", "build", "--", "--outDir", &out, "--emptyOutDir"])
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}

/// npm writes this file last.
fn installed(web: &Path) -> bool {
    let modified = |path: &str| fs::metadata(web.join(path)).and_then(|file| file.modified()).ok();
    match (
        modified("node_modules/.package-lock.json"),
        modified("package-lock.json"),
    ) {
        (Some(installed), Some(wanted)) => installed >= wanted,
        _ => false,
    }
}

fn npm(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let command = arguments.join(" ");
    let output = Command::new("npm").args(arguments).current_dir(web).output().map_err(|error| {
        format!(
            "the pages are built with Node.js 20 or later, and npm cannot be started ({error}): install Debian's \
             packages nodejs and npm, or run `make run`, which does"
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!(
        "npm {command}: {}: {}",
        output.status,
        String::from_utf8_lossy(&said).replace('\n', " | ")
    ))
}
