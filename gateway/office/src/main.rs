//! The `office` binary. The commands are in [`comptoir_office::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    comptoir_office::cli::main()
}
