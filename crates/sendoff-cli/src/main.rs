//! The `sendoff` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sendoff_cli::main()
}
