//! The `gateway` binary. The commands are in [`comptoir_gateway::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    comptoir_gateway::cli::main()
}
