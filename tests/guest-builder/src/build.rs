//! cargo for wasm32-unknown-unknown, then the core module wrapped into a component.

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{Doing, Result, repository, source_hash};

/// How guests are compiled; part of the source hash. Speed before size: level 3 was measured faster than `s` in the
/// columnar loops, at a few kilobytes more.
pub(crate) const PROFILE: [(&str, &str); 7] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

/// A dependency that only reads a configuration is built for size instead: the host compiles the component so much faster.
/// Part of the source hash too.
pub(crate) const SMALL: [&str; 1] = ["sqlparser"];

/// Code generation flags of guests; part of the source hash. Both features are on in every engine that runs components.
pub(crate) const FLAGS: [&str; 1] = ["-Ctarget-feature=+bulk-memory,+simd128"];

/// What stands for this machine's folders in a component: the repository, cargo's home, its registries. Part of the source
/// hash too.
pub(crate) const FOLDERS: [&str; 3] = ["/sluicegate", "/cargo", "/crates"];

const TARGET: &str = "wasm32-unknown-unknown";

/// Where guests are built and kept: `guests` in cargo's target folder.
pub fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), |folder| repository().join(folder)).join("guests")
}

/// The component of the crate in `folder`, from the cache when nothing that goes into it has changed.
///
/// # Errors
/// When no compiler for wasm32-unknown-unknown can be had, or the crate does not compile: cargo's own words go to stderr.
pub fn build(folder: &Path) -> Result<Vec<u8>> {
    let name = folder.file_name().and_then(|name| name.to_str()).ok_or_else(|| format!("{} has no name", folder.display()))?;
    kept(name, || source_hash(folder), || encode(name, &compile(folder)?))
}

/// The component that was built from sources of this hash; `make` builds it when there is none. One process builds, others wait.
pub(crate) fn kept(name: &str, hash_now: impl Fn() -> Result<String>, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let hash = hash_now()?;
    let kept = target_folder().join("components").join(format!("{name}-{hash}.wasm"));
    if let Ok(component) = fs::read(&kept) {
        return Ok(component);
    }
    let folder_of_kept = kept.parent().ok_or("no folder for components")?;
    fs::create_dir_all(folder_of_kept).doing(format_args!("making {}", folder_of_kept.display()))?;
    let lock = File::create(folder_of_kept.join(".lock")).doing("opening the lock of the guests")?;
    lock.lock().doing("locking the guests")?;
    // Another process may have built it while this one waited.
    if let Ok(component) = fs::read(&kept) {
        return Ok(component);
    }
    let component = make()?;
    if hash_now()? != hash {
        return Err(format!("the sources of {name} changed while it was built; run it again"));
    }
    let mut file = tempfile::NamedTempFile::new_in(folder_of_kept).doing("keeping the component")?;
    file.write_all(&component).doing("keeping the component")?;
    file.persist(&kept).doing("keeping the component")?;
    // those of scripting languages are large
    if component.len() > LARGE {
        forget_older(name, &kept);
    }
    Ok(component)
}

/// From this size on only the newest component of a plugin is kept.
const LARGE: usize = 4 << 20;

/// Removes the components of earlier sources. One that cannot be removed is only space.
fn forget_older(name: &str, kept: &Path) {
    for path in kept.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let hash = path.file_stem().and_then(|stem| stem.to_str()?.strip_prefix(name)?.strip_prefix('-'));
        if path != kept && hash.is_some_and(|hash| hash.len() == 64) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// The component of a core module; one that imports WASI 0.1 gets the adapter to 0.2.
pub(crate) fn encode(name: &str, core: &[u8]) -> Result<Vec<u8>> {
    const WASI_0_1: &str = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
    let adapted = core.windows(WASI_0_1.len()).any(|window| window == WASI_0_1.as_bytes());
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|encoder| if adapted { encoder.adapter(WASI_0_1, adapter) } else { Ok(encoder) })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("making a component of {name}: {error:#}"))
}

/// The component of a core module that Go made: it does not say which interface it was built for, and gets an adapter of its own.
pub(crate) fn encode_go(name: &str, core: &[u8]) -> Result<Vec<u8>> {
    const WASI_0_1: &str = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let adapter = fs::read(crate::adapter::place()).doing("reading the adapter for Go")?;
    let interface = repository().join("wit/plugin.wit");
    let mut core = core.to_vec();
    let mut resolve = Resolve::default();
    resolve
        .push_file(&interface)
        // with everything that may be granted; a component imports what its module does
        .and_then(|package| resolve.select_world(&[package], Some("granted-plugin")))
        .and_then(|world| embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8))
        .and_then(|()| ComponentEncoder::default().validate(true).module(&core)?.adapter(WASI_0_1, &adapter)?.encode())
        .map_err(|error| format!("making a component of {name}: {error:#}"))
}

/// The environment that makes the target usable, as `tests/toolchain/wasm-sysroot.sh` prints it; asked once a process.
///
/// # Errors
/// When there is no way to compile for the target: the script's own words go to stderr.
pub fn toolchain() -> Result<&'static [(String, String)]> {
    static TOOLCHAIN: OnceLock<Result<Vec<(String, String)>>> = OnceLock::new();
    TOOLCHAIN
        .get_or_init(|| {
            let script = repository().join("tests/toolchain/wasm-sysroot.sh");
            let output =
                Command::new("bash").arg(&script).stderr(Stdio::inherit()).output().doing(format_args!("running {}", script.display()))?;
            if !output.status.success() {
                return Err(format!("{} failed; run `rustup target add {TARGET}`", script.display()));
            }
            let text = String::from_utf8(output.stdout).doing("reading what the toolchain script printed")?;
            Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())).collect())
        })
        .as_deref()
        .map_err(Clone::clone)
}

/// The core module of the crate in `folder`.
fn compile(folder: &Path) -> Result<Vec<u8>> {
    const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";
    let toolchain = toolchain()?;
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| flag.to_string()).collect();
    // No path of this machine in the component: the same sources give the same bytes elsewhere.
    let [here, cargo, crates] = FOLDERS;
    flags.push(format!("--remap-path-prefix={}={here}", repository().display()));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}={cargo}", home.display()));
        // The folder of each registry is named after its host.
        for registry in fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten() {
            flags.push(format!("--remap-path-prefix={}={crates}", registry.path().display()));
        }
    }
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(folder)
        .args(["build", "--release", "--locked", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .env("CARGO_TARGET_DIR", target_folder())
        .envs(PROFILE)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).doing(format_args!("reading the manifest in {}", folder.display()))?;
    for package in SMALL.iter().filter(|package| manifest.lines().any(|line| line.starts_with(*package))) {
        command.arg("--config").arg(format!("profile.release.package.{package}.opt-level=\"z\""));
    }
    for (name, _) in env::vars_os() {
        let foreign = name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_CFG_"));
        if foreign || name == "RUSTFLAGS" || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    for (key, value) in toolchain {
        if key == RUSTFLAGS {
            flags.push(value.clone());
        } else {
            command.env(key, value);
        }
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let output = command.output().doing(format_args!("running cargo for {}", folder.display()))?;
    if !output.status.success() {
        return Err(format!("{} does not compile for {TARGET}; cargo's errors stand above", folder.display()));
    }
    let module =
        module_of(&output.stdout, folder).ok_or_else(|| format!("{} builds no .wasm; is its crate-type cdylib?", folder.display()))?;
    fs::read(&module).doing(format_args!("reading {}", module.display()))
}

/// The path of the `.wasm` that cargo reported for the crate in `folder`.
fn module_of(messages: &[u8], folder: &Path) -> Option<PathBuf> {
    let manifest = folder.join("Cargo.toml").canonicalize().ok()?;
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message.get("manifest_path").and_then(|path| path.as_str()).is_some_and(|path| Path::new(path) == manifest))
        .filter_map(|message| {
            let files = message.get("filenames")?.as_array()?;
            files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        })
        .next_back()
}
