//! A component from a plugin's sources, by what stands in their folder. Only the language's own toolchain is needed; the
//! component itself is made here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::component::{INTERFACE, encode};
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{CONFIG_FILE_BYTES, Limits},
};
use sluicegate_storage::file;

const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// What a folder's sources are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sources {
    Rust,
    JavaScript,
    Python,
    Go,
    C,
    AssemblyScript,
}

/// A component, and the file name that suits it.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// Its name without `.wasm`.
    pub name: String,
}

/// Builds the plugin in `from`: a folder with sources, or a core module.
pub fn build(from: &Path) -> Result<Built> {
    let stem = |path: &Path| path.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy().replace('_', "-"));
    if from.is_file() {
        let module = sluicegate_plugin_host::read(from, &Limits::default())?;
        return Ok(Built { component: encode(&module).map_err(|e| e.context(from.display()))?, name: stem(from) });
    }
    let folder = from.canonicalize().map_err(|e| {
        Error::new(ErrorKind::Config, format!("there is no folder {}", from.display()))
            .caused_by(e)
            .remedy("name the folder of a plugin's sources")
    })?;
    let scratch = tempfile::tempdir().map_err(|e| Error::new(ErrorKind::Precheck, "no folder can be made for the build").caused_by(e))?;
    match sources(&folder)? {
        Sources::Rust => rust(&folder),
        Sources::C => c(&folder, scratch.path()),
        Sources::JavaScript => javascript(&folder, scratch.path()),
        Sources::Python => python(&folder, scratch.path()),
        Sources::AssemblyScript => assemblyscript(&folder, scratch.path()),
        Sources::Go => go(&folder, scratch.path()),
    }
}

fn sources(folder: &Path) -> Result<Sources> {
    let has = |name: &str| folder.join(name).is_file();
    let with = |extension: &str| !files(folder, extension).is_empty();
    Ok(match () {
        () if has("Cargo.toml") => Sources::Rust,
        // its compiler comes by a package.json, too
        () if has("asconfig.json") => Sources::AssemblyScript,
        () if has("package.json") => Sources::JavaScript,
        () if has("go.mod") => Sources::Go,
        () if with("py") => Sources::Python,
        () if with("c") || with("cpp") || with("cc") => Sources::C,
        () => {
            return Err(Error::new(ErrorKind::Config, format!("{} holds no sources of a plugin", folder.display())).remedy(
                "begin with `sluicegate plugin new`; a Cargo.toml, package.json, asconfig.json or go.mod, a .py or .c file says which \
                 language it is",
            ));
        }
    })
}

/// Files with this extension right in the folder, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| path.is_file() && path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

/// The first of some programs that is there: in the project, or on PATH.
fn program(folder: &Path, places: &[&str], name: &str) -> Option<PathBuf> {
    let own = places.iter().map(|place| folder.join(place).join(name));
    let path = env::var_os("PATH").unwrap_or_default();
    own.chain(env::split_paths(&path).map(|place| place.join(name))).find(|path| path.is_file())
}

fn missing(what: &str, remedy: &str) -> Error {
    Error::new(ErrorKind::Precheck, format!("{what} is not installed")).remedy(remedy)
}

/// Runs a tool whose own words go to standard error.
fn run(command: &mut Command, name: &str) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.map_err(|e| Error::new(ErrorKind::Precheck, format!("{name} cannot be started")).caused_by(e))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Plugin, format!("{name} failed")).remedy("correct what it says above"))
}

fn made(path: &Path, name: &str) -> Result<Vec<u8>> {
    file::read(path, Limits::default().plugin_file_bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::FileTooLarge => Error::new(ErrorKind::Plugin, format!("what {name} made is too large for a plugin"))
            .caused_by(e)
            .remedy("make it smaller: optimise for size, strip, use fewer libraries"),
        _ => Error::new(ErrorKind::Plugin, format!("{name} wrote no component")).caused_by(e),
    })
}

fn rust(folder: &Path) -> Result<Built> {
    const UNKNOWN: &str = "install Rust from https://rustup.rs";
    let cargo =
        env::var_os("CARGO").map(PathBuf::from).or_else(|| program(folder, &[], "cargo")).ok_or_else(|| missing("cargo", UNKNOWN))?;
    let output = Command::new(cargo)
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", RUST_TARGET, "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| missing("cargo", UNKNOWN).caused_by(e))?;
    let messages: Vec<serde_json::Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    if !output.status.success() {
        // E0463: "can't find crate for `core`", and the like
        let no_target = messages.iter().any(|m| m.pointer("/message/code/code").and_then(|code| code.as_str()) == Some("E0463"));
        return Err(if no_target {
            Error::new(ErrorKind::Precheck, format!("Rust's target {RUST_TARGET} is not installed"))
                .remedy(format!("run `rustup target add {RUST_TARGET}`"))
        } else {
            Error::new(ErrorKind::Plugin, "the plugin does not compile").remedy("correct what cargo says above")
        });
    }
    let manifest = folder.join("Cargo.toml");
    let own =
        messages.iter().filter(|m| m.get("manifest_path").and_then(|path| path.as_str()).is_some_and(|path| Path::new(path) == manifest));
    let module = own
        .filter_map(|message| message.get("filenames")?.as_array()?.iter().filter_map(|f| f.as_str()).find(|f| f.ends_with(".wasm")))
        .next_back()
        .map(PathBuf::from)
        .ok_or_else(|| {
            Error::new(ErrorKind::Config, "cargo built no .wasm file")
                .remedy("write `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in Cargo.toml")
        })?;
    let name = module.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy().replace('_', "-"));
    Ok(Built { component: encode(&made(&module, "cargo")?)?, name })
}

/// What C and C++ sources are compiled with.
fn zig(folder: &Path) -> Result<Command> {
    if let Some(zig) = env::var_os("ZIG").map(PathBuf::from).or_else(|| program(folder, &["node_modules/.bin"], "zig")) {
        return Ok(Command::new(zig));
    }
    // the Python package of the compiler, in the project's own environment
    if let Some(python) = [".venv/bin/python", "venv/bin/python"].iter().map(|p| folder.join(p)).find(|p| p.is_file()) {
        let mut command = Command::new(python);
        command.args(["-m", "ziglang"]);
        return Ok(command);
    }
    Err(missing(
        "Zig, whose C compiler is used,",
        "install it from https://ziglang.org/download, or run `python3 -m venv .venv && .venv/bin/pip install ziglang`",
    ))
}

fn c(folder: &Path, scratch: &Path) -> Result<Built> {
    let module = scratch.join("module.wasm");
    let sdk = folder.join("sdk");
    let mut command = zig(folder)?;
    let cplusplus = ["cpp", "cc"].iter().any(|extension| !files(folder, extension).is_empty());
    command.current_dir(folder).arg(if cplusplus { "c++" } else { "cc" });
    command.args(["-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-s", "-Wall", "-I"]).arg(&sdk).arg("-o").arg(&module);
    for from in [folder.to_owned(), sdk.clone(), sdk.join("bindings")] {
        for extension in ["c", "cpp", "cc", "o"] {
            command.args(files(&from, extension));
        }
    }
    run(&mut command, "zig")?;
    Ok(Built { component: encode(&made(&module, "zig")?)?, name: name_of(folder) })
}

fn javascript(folder: &Path, scratch: &Path) -> Result<Built> {
    const REMEDY: &str = "run `npm install` in the plugin's folder; its package.json names what is needed";
    let tool = env::var_os("COMPONENTIZE_JS").map(PathBuf::from);
    let tool =
        tool.or_else(|| program(folder, &["node_modules/.bin"], "componentize-js")).ok_or_else(|| missing("componentize-js", REMEDY))?;
    let package = file::read(&folder.join("package.json"), CONFIG_FILE_BYTES)
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    let main = package.as_ref().and_then(|p| p.get("main")?.as_str()).unwrap_or("plugin.js").to_owned();
    let component = scratch.join("plugin.wasm");
    // it finds what is imported below the folder that it is started in
    let mut command = Command::new(tool);
    command.current_dir(folder).arg(main).arg("--wit").arg(interface(scratch)?).args(["--world-name", "plugin"]);
    command.args(["--disable", "stdio", "random", "clocks", "http", "fetch-event", "--out"]).arg(&component);
    run(&mut command, "componentize-js")?;
    Ok(Built { component: encode(&made(&component, "componentize-js")?)?, name: name_of(folder) })
}

fn python(folder: &Path, scratch: &Path) -> Result<Built> {
    const REMEDY: &str = "run `python3 -m venv .venv && .venv/bin/pip install componentize-py` in the plugin's folder";
    let tool = env::var_os("COMPONENTIZE_PY").map(PathBuf::from);
    let tool = tool
        .or_else(|| program(folder, &[".venv/bin", "venv/bin"], "componentize-py"))
        .ok_or_else(|| missing("componentize-py", REMEDY))?;
    let found = files(folder, "py");
    let [source] = found.as_slice() else {
        return Err(Error::new(ErrorKind::Config, format!("{} holds several .py files", folder.display()))
            .remedy("keep one beside the folder `sdk`: the plugin; put what it imports into a package"));
    };
    let component = scratch.join("plugin.wasm");
    let mut command = Command::new(tool);
    command.current_dir(folder).args(["--quiet", "-d"]).arg(interface(scratch)?).args(["-w", "plugin", "componentize", "--stub-wasi"]);
    command.arg("-p").arg(folder).arg("-p").arg(folder.join("sdk"));
    command.arg(source.file_stem().unwrap_or_default()).arg("-o").arg(&component);
    // the same bytes for the same sources
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0").env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH");
    run(&mut command, "componentize-py")?;
    Ok(Built { component: encode(&made(&component, "componentize-py")?)?, name: name_of(folder) })
}

fn assemblyscript(folder: &Path, scratch: &Path) -> Result<Built> {
    const REMEDY: &str = "run `npm install` in the plugin's folder; its package.json names what is needed";
    let tool = env::var_os("ASC").map(PathBuf::from);
    let tool = tool.or_else(|| program(folder, &["node_modules/.bin"], "asc")).ok_or_else(|| missing("asc", REMEDY))?;
    let module = scratch.join("module.wasm");
    // what is compiled, and how, stands in asconfig.json, but for the path of the transform, which that cannot name
    let mut command = Command::new(tool);
    command.current_dir(folder).args(["--transform", "./sdk/names.mjs", "--outFile"]).arg(&module);
    run(&mut command, "asc")?;
    Ok(Built { component: encode(&made(&module, "asc")?)?, name: name_of(folder) })
}

fn go(folder: &Path, scratch: &Path) -> Result<Built> {
    const REMEDY: &str = "install it, 1.24 or later, from https://go.dev/dl";
    let tool = env::var_os("GO").map(PathBuf::from).or_else(|| program(folder, &[], "go")).ok_or_else(|| missing("Go", REMEDY))?;
    let module = scratch.join("module.wasm");
    let mut command = Command::new(tool);
    command.current_dir(folder).args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
    command.arg(&module).arg(".").envs([("GOOS", "wasip1"), ("GOARCH", "wasm")]);
    run(&mut command, "go")?;
    Ok(Built { component: encode(&made(&module, "go")?)?, name: name_of(folder) })
}

fn name_of(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "plugin".into(), |name| name.to_string_lossy().into_owned())
}

/// A folder with the plugin interface.
fn interface(scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("wit");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("plugin.wit"), INTERFACE))
        .map_err(|e| Error::new(ErrorKind::Precheck, "the interface cannot be written for the build").caused_by(e))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_sources_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = build(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.remedy_text().is_some_and(|r| r.contains("plugin new")), "{error}");
        assert_eq!(build(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn the_language_follows_from_the_files() {
        let folder = tempfile::tempdir().unwrap();
        for (file, expected) in [
            ("a.c", Sources::C),
            ("a.py", Sources::Python),
            ("go.mod", Sources::Go),
            ("package.json", Sources::JavaScript),
            ("asconfig.json", Sources::AssemblyScript),
            ("Cargo.toml", Sources::Rust),
        ] {
            fs::write(folder.path().join(file), "").unwrap();
            assert_eq!(sources(folder.path()).unwrap(), expected);
        }
    }
}
