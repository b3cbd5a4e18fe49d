//! Copies the page into the build, for `pages` to embed.
//!
//! The page is built by `make pages`, into `web/dist-office`. `COMPTOIR_OFFICE_WEB_DIST` names another folder with the
//! built page: for a machine without Node.js, or for building for several targets. Without it, a development build embeds
//! a page that says how to build it, so that `cargo check` and the tests need no Node.js; a release build fails.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const NO_PAGES: &str = "<!doctype html><title>Comptoir</title><p>This office was built without its page. Run \
                        <code>make pages</code>, then build it again.\n";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-env-changed=COMPTOIR_OFFICE_WEB_DIST");
    if let Err(problem) = embed() {
        println!("cargo::error={problem}");
    }
}

fn embed() -> Result<(), String> {
    let embedded = variable("OUT_DIR")?.join("web");
    let built = match env::var_os("COMPTOIR_OFFICE_WEB_DIST") {
        Some(folder) => PathBuf::from(folder),
        None => variable("CARGO_MANIFEST_DIR")?.join("../../web/dist-office"),
    };
    println!("cargo::rerun-if-changed={}", built.display());
    let fail = |error: io::Error| format!("{}: {error}", built.display());
    // Files of an earlier build may have other names.
    match fs::remove_dir_all(&embedded) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    if built.join("index.html").is_file() {
        return copy(&built, &embedded).map_err(fail);
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_release || env::var_os("COMPTOIR_OFFICE_WEB_DIST").is_some() {
        return Err(format!(
            "there is no built page in {}: run `make pages`, or set COMPTOIR_OFFICE_WEB_DIST to a folder with the built page",
            built.display()
        ));
    }
    println!("cargo::warning=the page is not built, and this office will not serve it: run `make pages`");
    fs::create_dir_all(&embedded)
        .and_then(|()| fs::write(embedded.join("index.html"), NO_PAGES))
        .map_err(fail)
}

fn variable(name: &str) -> Result<PathBuf, String> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            // The office decompresses a file for the few clients that want it so.
            false if has_gzip(&entry.path()) => {}
            false => fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}

/// Whether a file has a compressed copy beside it.
fn has_gzip(file: &Path) -> bool {
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    Path::new(&name).is_file()
}
