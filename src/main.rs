//! Arguments in, exit code out; the rest is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(owsync::cli::run(std::env::args_os().skip(1)))
}
