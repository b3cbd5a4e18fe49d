//! For build scripts: copies built pages into the build.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Where a program's built pages are.
#[derive(Clone, Copy, Debug)]
pub struct PageSource {
    /// The program, for messages: `gateway`.
    pub program: &'static str,
    /// The folder into which `make pages` builds, relative to the program's package.
    pub folder: &'static str,
    /// An environment variable that names another folder with built pages: for a machine without Node.js, or for building
    /// for several targets.
    pub variable: &'static str,
}

impl PageSource {
    /// Copies the pages into `OUT_DIR/web`, and prints Cargo's instructions for a build script. Without built pages, a
    /// development build gets one page that says how to build them, so that `cargo check` and the tests need no Node.js; a
    /// release build fails.
    pub fn embed(&self) {
        println!("cargo::rerun-if-env-changed={}", self.variable);
        if let Err(problem) = self.copy() {
            println!("cargo::error={problem}");
        }
    }

    fn copy(&self) -> Result<(), String> {
        let embedded = variable("OUT_DIR")?.join("web");
        let named = env::var_os(self.variable);
        let built = match &named {
            Some(folder) => PathBuf::from(folder),
            None => variable("CARGO_MANIFEST_DIR")?.join(self.folder),
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
        if is_release || named.is_some() {
            return Err(format!(
                "there are no built pages in {}: run `make pages`, or set {} to a folder with built pages",
                built.display(),
                self.variable,
            ));
        }
        println!(
            "cargo::warning=the pages are not built, and this {} will not serve them: run `make pages`",
            self.program,
        );
        fs::create_dir_all(&embedded)
            .and_then(|()| fs::write(embedded.join("index.html"), self.placeholder()))
            .map_err(fail)
    }

    fn placeholder(&self) -> String {
        format!(
            "<!doctype html><title>Comptoir</title><p>This {} was built without its pages. Run <code>make pages</code>, \
             then build it again.\n",
            self.program,
        )
    }
}

fn variable(name: &str) -> Result<PathBuf, String> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set"))
}

/// Copies a folder, without the files that have a compressed copy beside them.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            // `PageFile` decompresses a file for the few clients that accept no compression.
            false if has_gzip(&entry.path()) => {}
            false => fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}

fn has_gzip(file: &Path) -> bool {
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    Path::new(&name).is_file()
}
