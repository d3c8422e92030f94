//! How much of a test that would take long is run: all of it with `REMORA_SOAK=1` (`make soak`), else a part, and the part
//! is printed, so that nobody takes it for the whole.

/// `whole` in a soak, else `part`.
pub fn of<T: std::fmt::Debug>(what: &str, whole: T, part: T) -> T {
    if std::env::var_os("REMORA_SOAK").is_some_and(|value| value == "1") {
        println!("{what}: {whole:?}, the whole of it");
        return whole;
    }
    println!("{what}: {part:?} instead of {whole:?}; REMORA_SOAK=1 runs the whole");
    part
}
