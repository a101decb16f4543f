//! Leaves the tables for unwinding out of release binaries.
//!
//! A release build aborts when it panics, so nothing ever unwinds; but the compiler still writes an entry per function,
//! because the standard library it comes with was compiled for unwinding. They are an eighth of the binary. Without them
//! a panic still says where it happened; only the list of callers that `RUST_BACKTRACE` asks for is empty, as it nearly
//! is anyway in a stripped binary. Builds for debugging and for tests keep them.
//!
//! Why here and not in `RUSTFLAGS`? Those are replaced as a whole by whoever sets them (a buildroot does), and then the
//! binary would silently grow.

use std::path::PathBuf;

const SCRIPT: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame.* .eh_frame_hdr .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;
";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    // "release" also for profiles that inherit from it.
    if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        let script = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("no-unwinding.ld");
        std::fs::write(&script, SCRIPT)?;
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    }
    Ok(())
}
