//! Records what the program is built with: the compiler's version, the profile, and the versions of the crates
//! that a measurement runs through. `environment.rs` writes them into `env.json`.
use std::path::Path;
use std::process::Command;

/// Crates whose version can change a measurement.
const MEASURED: [&str; 27] = [
    "async-channel",
    "async-executor",
    "async-io",
    "async-lock",
    "async-task",
    "blake3",
    "blocking",
    "crc32fast",
    "crossbeam-channel",
    "crossbeam-deque",
    "crossover-bench",
    "crossover-runtime",
    "crossover-workloads",
    "fast_image_resize",
    "hyper",
    "hyper-util",
    "jpeg-encoder",
    "ndarray",
    "polling",
    "postcard",
    "rayon",
    "rayon-core",
    "serde_json",
    "sha2",
    "tokio",
    "tokio-util",
    "ureq",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let rustc = Command::new(variable("RUSTC")).arg("--version").output();
    let rustc =
        rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    println!("cargo::rustc-env=CROSSOVER_RUSTC={rustc}");
    println!("cargo::rustc-env=CROSSOVER_TARGET={}", variable("TARGET"));
    println!("cargo::rustc-env=CROSSOVER_PROFILE={}", variable("PROFILE"));
    println!("cargo::rustc-env=CROSSOVER_OPT_LEVEL={}", variable("OPT_LEVEL"));
    println!("cargo::rustc-env=CROSSOVER_CRATES={}", versions(Path::new("../Cargo.lock")).join(","));
}

/// `name version` of the measured crates, as the lock file has them; empty without a lock file.
fn versions(lock: &Path) -> Vec<String> {
    if !lock.exists() {
        return Vec::new();
    }
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let quoted = |line: &str, key: &str| {
        line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned)
    };
    let mut versions = Vec::new();
    let mut name = None;
    for line in text.lines() {
        if let Some(found) = quoted(line, "name") {
            name = Some(found);
        } else if let Some(version) = quoted(line, "version")
            && let Some(name) = name.take().filter(|name| MEASURED.contains(&name.as_str()))
        {
            versions.push(format!("{name} {version}"));
        }
    }
    versions
}
