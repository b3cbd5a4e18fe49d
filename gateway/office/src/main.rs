//! The `office` binary. [`comptoir_office::cli`] has the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    comptoir_office::cli::main()
}
