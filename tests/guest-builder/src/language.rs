//! The example plugin and the conformance plugin in every language that has an SDK, built from source.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use crate::{
    Doing, Result,
    build::{encode, encode_go, kept},
    repository,
    source::hex,
    target_folder,
};

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust, compiled by cargo.
    Rust,
    /// C, compiled by Zig's C compiler.
    C,
    /// JavaScript, in the engine that componentize-js brings.
    JavaScript,
    /// Python, in the interpreter that componentize-py brings.
    Python,
    /// AssemblyScript, compiled by its own compiler.
    AssemblyScript,
    /// Go, compiled by Go's own compiler.
    Go,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Rust, Self::C, Self::JavaScript, Self::Python, Self::AssemblyScript, Self::Go];

    /// Its name in the folders of this repository.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::AssemblyScript => "assemblyscript",
            Self::Go => "go",
        }
    }

    /// The example plugin: masks e-mail addresses, drops test accounts, renames a column.
    ///
    /// # Errors
    /// As [`Language::build`].
    pub fn example(self) -> Result<Vec<u8>> {
        self.build(&repository().join("examples/plugins").join(self.name()))
    }

    /// The conformance plugin: see `tests/guests/conformance/README.md`.
    ///
    /// # Errors
    /// As [`Language::build`].
    pub fn conformance(self) -> Result<Vec<u8>> {
        self.build(&repository().join("tests/guests/conformance").join(self.name()))
    }

    /// The component of the plugin in `folder`, from the cache when nothing that goes into it has changed.
    ///
    /// # Errors
    /// When its toolchain cannot be had, or the plugin does not build: the tools' own words go to stderr.
    pub fn build(self, folder: &Path) -> Result<Vec<u8>> {
        let place = folder.strip_prefix(repository()).unwrap_or(folder).to_string_lossy().replace(['/', '\\'], "-");
        match self {
            Self::Rust => crate::build(folder),
            Self::C => kept(&place, || self.hash(folder), || c(folder)),
            Self::JavaScript => kept(&place, || self.hash(folder), || javascript(folder)),
            Self::Python => kept(&place, || self.hash(folder), || python(folder)),
            Self::AssemblyScript => kept(&place, || self.hash(folder), || assemblyscript(folder)),
            Self::Go => kept(&place, || self.hash(folder), || go(folder)),
        }
    }

    /// What the component is made of, without what it is compiled to: the plugin, the SDK, the interface, the toolchain's script
    /// with the versions in it, and how it is called.
    fn hash(self, folder: &Path) -> Result<String> {
        let root = repository();
        let (sdk, script) = match self {
            Self::Rust => return crate::source_hash(folder),
            Self::C => ("plugins/sdk-c", "zig.sh"),
            Self::JavaScript => ("plugins/sdk-js", "javascript.sh"),
            Self::Python => ("plugins/sdk-python", "python.sh"),
            Self::AssemblyScript => ("plugins/sdk-assemblyscript", "assemblyscript.sh"),
            Self::Go => ("plugins/sdk-go", "go.sh"),
        };
        let mut files =
            vec![root.join("tests/toolchain").join(script), root.join("wit/plugin.wit"), root.join("tests/guest-builder/src/language.rs")];
        let packages = root.join("tests/toolchain").join(self.name());
        for folder in [folder, &packages, &root.join(sdk), &root.join(sdk).join("bindings"), &root.join(sdk).join("adapter")] {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.doing(format_args!("reading {}", folder.display()))?.path();
                if path.is_file() && path.extension().is_none_or(|extension| extension != "md") {
                    files.push(path);
                }
            }
        }
        files.sort();
        let mut hash = Sha256::new();
        for file in files {
            hash.update(file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().as_bytes());
            hash.update([0]);
            hash.update(Sha256::digest(fs::read(&file).doing(format_args!("reading {}", file.display()))?));
        }
        Ok(hex(&hash.finalize()))
    }
}

/// Builds the example and the conformance plugin of every language.
///
/// # Errors
/// As [`Language::build`].
pub fn build_languages() -> Result<()> {
    Language::ALL.into_iter().try_for_each(|language| {
        language.example()?;
        language.conformance().map(drop)
    })
}

/// The file in `folder` with this extension: a plugin of these languages is one file.
fn source(folder: &Path, extension: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder).doing(format_args!("reading {}", folder.display()))?;
    let mut found = files.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.extension().is_some_and(|e| e == extension));
    found.next().ok_or_else(|| format!("{} holds no .{extension} file", folder.display()))
}

/// The program that a script below `tests/toolchain` names, which it installs when needed.
///
/// # Errors
/// When it cannot be had: the script's own words go to stderr.
pub fn tool(script: &str) -> Result<PathBuf> {
    let script = repository().join("tests/toolchain").join(script);
    let output = Command::new("bash").arg(&script).stderr(Stdio::inherit()).output().doing(format_args!("running {}", script.display()))?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told.trim().split_once('=') {
        Some((_, path)) if output.status.success() => Ok(PathBuf::from(path)),
        _ => Err(format!("{} failed; its reason stands above", script.display())),
    }
}

/// Runs a tool that writes a file, and reads that.
fn made(command: &mut Command, output: &Path) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    // what it prints belongs to stderr: the builder's own answers go to stdout
    let status = command.current_dir(repository()).stdout(std::io::stderr()).status().doing(format_args!("running {program}"))?;
    if !status.success() {
        return Err(format!("{program} failed; its errors stand above"));
    }
    fs::read(output).doing(format_args!("reading what {program} made"))
}

fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir().doing("making a folder for the build")
}

fn c(folder: &Path) -> Result<Vec<u8>> {
    let (scratch, sdk) = (scratch()?, repository().join("plugins/sdk-c"));
    let core = scratch.path().join("core.wasm");
    let mut zig = Command::new(tool("zig.sh")?);
    zig.args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-I"]).arg(&sdk);
    zig.arg("-o").arg(&core).arg(source(folder, "c")?);
    for file in ["sluicegate.c", "plan.c", "text.c", "bindings/plugin.c", "bindings/plugin_component_type.o"] {
        zig.arg(sdk.join(file));
    }
    zig.env("ZIG_GLOBAL_CACHE_DIR", target_folder().join("zig")).env("ZIG_LOCAL_CACHE_DIR", target_folder().join("zig"));
    encode(&folder.display().to_string(), &made(&mut zig, &core)?)
}

fn javascript(folder: &Path) -> Result<Vec<u8>> {
    let scratch = scratch()?;
    let component = scratch.path().join("plugin.wasm");
    // It only finds what is imported below the folder that it is started in.
    let source = source(folder, "js")?;
    let source = source.strip_prefix(repository()).unwrap_or(&source);
    let mut command = Command::new(tool("javascript.sh")?);
    command.arg(source).args(["--wit", "wit", "--world-name", "plugin"]);
    command.args(["--disable", "stdio", "random", "clocks", "http", "fetch-event", "--out"]).arg(&component);
    made(&mut command, &component)
}

fn python(folder: &Path) -> Result<Vec<u8>> {
    let scratch = scratch()?;
    let component = scratch.path().join("plugin.wasm");
    let source = source(folder, "py")?;
    let module = source.file_stem().unwrap_or_default();
    let mut command = Command::new(tool("python.sh")?);
    command.args(["--quiet", "-d", "wit", "-w", "plugin", "componentize", "--stub-wasi", "-p", "plugins/sdk-python", "-p"]).arg(folder);
    command.arg(module).arg("-o").arg(&component);
    // the same bytes for the same sources
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0").env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH");
    made(&mut command, &component)
}

fn assemblyscript(folder: &Path) -> Result<Vec<u8>> {
    const SDK: &str = "plugins/sdk-assemblyscript";
    let scratch = scratch()?;
    let core = scratch.path().join("core.wasm");
    // It names the parts of a program by their paths below the folder that it is started in.
    let source = source(folder, "ts")?;
    let source = source.strip_prefix(repository()).unwrap_or(&source);
    let mut command = Command::new(tool("assemblyscript.sh")?);
    command.arg(source).arg(format!("{SDK}/exports.ts")).arg("--config").arg(format!("{SDK}/asconfig.json"));
    command.arg("--transform").arg(format!("./{SDK}/names.mjs")).arg("--use").arg(format!("abort={SDK}/host/abort"));
    command.arg("--outFile").arg(&core);
    encode(&folder.display().to_string(), &described(made(&mut command, &core)?)?)
}

/// The core module with the plugin interface in it: compilers that know nothing of components leave that to others.
fn described(mut module: Vec<u8>) -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(repository().join("wit/plugin.wit")).doing("reading wit/plugin.wit")?;
    let world = resolve.select_world(&[package], Some("granted-plugin")).doing("reading wit/plugin.wit")?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8)
        .doing("writing the plugin interface into a module")?;
    Ok(module)
}

fn go(folder: &Path) -> Result<Vec<u8>> {
    let scratch = scratch()?;
    let core = scratch.path().join("core.wasm");
    let mut command = Command::new(tool("go.sh")?);
    command.args(["build", "-C"]).arg(folder).args(["-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
    command.arg(&core).arg(".").envs([("GOOS", "wasip1"), ("GOARCH", "wasm")]);
    // nothing of this machine's settings, and nothing from the network
    command.envs([("GOENV", "off"), ("GOFLAGS", ""), ("GOWORK", "off"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
    command.env_remove("GOROOT").env("GOCACHE", target_folder().join("go")).env("GOPATH", target_folder().join("go-path"));
    encode_go(&folder.display().to_string(), &made(&mut command, &core)?)
}
