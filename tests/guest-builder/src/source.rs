//! A hash of everything that goes into a component.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::{Doing, Result, build, repository};

/// SHA-256, as hexadecimal text, of all that the component of the crate in `folder` is made of: its sources, the SDK's, the
/// interface, the versions and features of all its dependencies, and how it is compiled. Paths do not enter it.
pub fn source_hash(folder: &Path) -> Result<String> {
    let root = repository();
    let mut files = Vec::new();
    for folder in [folder, &root.join("plugins/sdk"), &root.join("plugins/table-pattern"), &root.join("wit")] {
        collect(folder, &mut files)?;
    }
    if fs::read_to_string(folder.join("src/lib.rs")).is_ok_and(|text| text.contains("wit/draft/")) {
        collect(&root.join("wit/draft"), &mut files)?;
    }
    files.sort();
    files.dedup();
    let mut hash = Sha256::new();
    let mut part = |name: &str, content: &[u8]| {
        for bytes in [name.as_bytes(), content] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    };
    for file in &files {
        let name = file.strip_prefix(&root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        part(&name, &fs::read(file).doing(format_args!("reading {}", file.display()))?);
    }
    part("dependencies", dependencies(folder)?.as_bytes());
    part("profile", format!("{:?} {:?} {:?} {:?}", build::PROFILE, build::SMALL, build::FLAGS, build::FOLDERS).as_bytes());
    Ok(hex(&hash.finalize()))
}

/// Lower-case hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files that a build reads: `Cargo.toml`, `*.rs` in `src`, `*.wit`, `*.json`. Tests, benches, released interfaces and drafts do not
/// change a component.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).doing(format_args!("reading {}", folder.display()))? {
        let path = entry.doing(format_args!("reading {}", folder.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "tests" | "benches" | "examples" | "released" | "draft") {
                collect(&path, files)?;
            }
        } else if name == "Cargo.toml" || matches!(path.extension().and_then(|e| e.to_str()), Some("rs" | "wit" | "json")) {
            files.push(path.canonicalize().doing(format_args!("reading {}", path.display()))?);
        }
    }
    Ok(())
}

/// All dependencies with version and features, as cargo resolves them for the target, without paths.
fn dependencies(folder: &Path) -> Result<String> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(folder)
        .args(["tree", "--locked", "--target", "wasm32-unknown-unknown", "--edges", "no-dev", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p} {f}"])
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .doing(format_args!("asking cargo for the dependencies of {}", folder.display()))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("asking cargo for the dependencies of {}: {}", folder.display(), why.trim()));
    }
    let text = String::from_utf8(output.stdout).doing("reading cargo's answer")?;
    // A package of this repository is printed with its folder in parentheses.
    let without_path = |line: &str| match (line.find(" (/"), line.rfind(')')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{}", line.get(..start).unwrap_or_default(), line.get(end + 1..).unwrap_or_default())
        }
        _ => line.to_string(),
    };
    let mut lines: Vec<String> = text.lines().map(without_path).collect();
    lines.sort();
    lines.dedup();
    Ok(lines.join("\n"))
}
