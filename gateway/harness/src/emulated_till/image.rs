//! The firmware image that the emulated till runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use object::elf::{SHF_ALLOC, SHF_WRITE};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind};

/// A firmware image, according to its ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Bytes in flash on a real chip: code, constants and the initial values of variables.
    pub flash: u64,
    /// Bytes of all variables. The stack is not included.
    pub variables: u64,
    /// The content of the flash, without gaps.
    pub contents: Vec<u8>,
    /// The names of all linked functions.
    pub functions: Vec<String>,
}

impl Image {
    /// Builds the image if necessary and reads it.
    ///
    /// # Errors
    /// The image cannot be built, or is not an ELF file.
    pub(super) fn read() -> Result<Self> {
        let path = build_once()?;
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let file = object::File::parse(&*bytes).with_context(|| format!("read {}", path.display()))?;
        let (mut contents, mut variables) = (Vec::new(), 0);
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            if sh_flags & u64::from(SHF_ALLOC) == 0 {
                continue;
            }
            contents.extend_from_slice(section.data()?);
            // The linker script gives these sections the remaining RAM. There is no heap, and the stack is measured.
            let is_remaining_ram = matches!(section.name()?, ".stack" | ".heap");
            if sh_flags & u64::from(SHF_WRITE) != 0 && !is_remaining_ram {
                variables += section.size();
            }
        }
        let functions = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
            .map(|symbol| Ok(format!("{:#}", rustc_demangle::demangle(symbol.name()?))))
            .collect::<Result<_>>()?;
        Ok(Self {
            flash: u64::try_from(contents.len())?,
            variables,
            contents,
            functions,
        })
    }
}

/// Builds the image, once per process. If it is up to date, that only compares modification times.
///
/// # Errors
/// The image cannot be built. The message says what to install.
pub(super) fn build_once() -> Result<&'static Path> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match IMAGE.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(image) => Ok(image),
        Err(error) => bail!("{error}"),
    }
}

fn build() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/boards/build-qemu-riscv.sh");
    let test = std::env::current_exe().context("find this test's own binary")?;
    // A test is in target/<profile>/deps.
    let target = test.ancestors().nth(3).context("find the target folder")?;
    let output = Command::new(&script)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .with_context(|| format!("start {}", script.display()))?;
    ensure!(
        output.status.success(),
        "the bare-metal image cannot be built\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = String::from_utf8(output.stdout).context("read the image's path")?;
    Ok(PathBuf::from(path.trim_end()))
}
