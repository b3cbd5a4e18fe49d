//! The `gateway` binary. [`comptoir_gateway::cli`] has the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    comptoir_gateway::cli::main()
}
