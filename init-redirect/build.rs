//! Asks the linker for a small program. Nothing else is decided here: how the code is made is the workspace's release profile.
//!
//! Invariant: an argument is given only where the result runs.

use std::process::Command;

/// The first glibc whose static programs relocate themselves by packed relocations (DT_RELR).
const PACKED_RELOCATIONS: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Where a package has settings of its own cargo forgets the profile's `strip`.
    println!("cargo:rustc-link-arg-bins=-Wl,--strip-all");
    // Functions of the same code become one; no code of ours compares addresses of functions. The linker that comes with
    // the toolchain can do it, and is the default on this architecture alone.
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "x86_64") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
    if glibc().is_some_and(|version| version >= PACKED_RELOCATIONS) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Of the machine, for which the program is built too.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
