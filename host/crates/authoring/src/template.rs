//! A new plugin from a template: the example of its language, with the SDK beside it, so that it builds as it stands.

use std::{fs, path::Path, path::PathBuf};

use sluicegate_model::{Error, ErrorKind, Result};

/// A language that there is a template for.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// As `--language` takes it.
    pub name: &'static str,
    /// The plugin's source file; `{name}` and `{module}` stand for the plugin's name.
    source: &'static str,
    /// Where the SDK stands.
    sdk: &'static str,
    /// What is to be done once.
    setup: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// What is built into the module as it is.
    objects: &'static [(&'static str, &'static [u8])],
}

/// A file of the repository's root, as text.
macro_rules! file {
    ($path:expr) => {
        include_str!(concat!("../../../../", $path))
    };
}

/// Files of the Rust SDK, at the same place in the template.
macro_rules! rust_sdk {
    ($($name:literal),+ $(,)?) => {
        &[
            ("Cargo.toml", file!("examples/plugins/rust/Cargo.toml")),
            ("Cargo.lock", file!("examples/plugins/rust/Cargo.lock")),
            ("src/lib.rs", file!("examples/plugins/rust/src/lib.rs")),
            (".gitignore", "/target\n*.wasm\n"),
            ("wit/plugin.wit", file!("wit/plugin.wit")),
            ("vendor/table-pattern/Cargo.toml", file!("plugins/table-pattern/Cargo.standalone.toml")),
            ("vendor/table-pattern/src/lib.rs", file!("plugins/table-pattern/src/lib.rs")),
            ("vendor/table-pattern/src/name.rs", file!("plugins/table-pattern/src/name.rs")),
            ("vendor/table-pattern/src/pattern.rs", file!("plugins/table-pattern/src/pattern.rs")),
            ("vendor/table-pattern/src/piece.rs", file!("plugins/table-pattern/src/piece.rs")),
            ("vendor/table-pattern/src/selection.rs", file!("plugins/table-pattern/src/selection.rs")),
            ("vendor/sdk/Cargo.toml", file!("plugins/sdk/Cargo.standalone.toml")),
            $((concat!("vendor/sdk/src/", $name), file!(concat!("plugins/sdk/src/", $name))),)+
        ]
    };
}

/// All languages.
pub const LANGUAGES: [Language; 6] = [
    Language {
        name: "rust",
        source: "src/lib.rs",
        sdk: "vendor/sdk",
        setup: "    rustup target add wasm32-unknown-unknown\n\n`cargo test` runs the plugin natively, on rows written as JSON.",
        files: RUST,
        objects: &[],
    },
    Language {
        name: "c",
        source: "{module}.c",
        sdk: "sdk",
        setup: "    python3 -m venv .venv && .venv/bin/pip install ziglang   # or any Zig on your PATH",
        files: &[
            ("{module}.c", file!("examples/plugins/c/mask_email.c")),
            ("sdk/sluicegate.h", file!("plugins/sdk-c/sluicegate.h")),
            ("sdk/internal.h", file!("plugins/sdk-c/internal.h")),
            ("sdk/sluicegate.c", file!("plugins/sdk-c/sluicegate.c")),
            ("sdk/plan.c", file!("plugins/sdk-c/plan.c")),
            ("sdk/text.c", file!("plugins/sdk-c/text.c")),
            ("sdk/bindings/plugin.c", file!("plugins/sdk-c/bindings/plugin.c")),
            ("sdk/bindings/plugin.h", file!("plugins/sdk-c/bindings/plugin.h")),
            (".gitignore", "*.wasm\n.venv\n"),
        ],
        objects: &[("sdk/bindings/plugin_component_type.o", include_bytes!("../../../../plugins/sdk-c/bindings/plugin_component_type.o"))],
    },
    Language {
        name: "javascript",
        source: "{name}.js",
        sdk: "sdk",
        setup: "    npm install",
        files: &[
            ("{name}.js", file!("examples/plugins/javascript/mask-email.js")),
            ("package.json", include_str!("template/package.json")),
            ("sdk/sluicegate.js", file!("plugins/sdk-js/sluicegate.js")),
            ("sdk/sluicegate.d.ts", file!("plugins/sdk-js/sluicegate.d.ts")),
            (".gitignore", "*.wasm\nnode_modules\n"),
        ],
        objects: &[],
    },
    Language {
        name: "python",
        source: "{module}.py",
        sdk: "sdk",
        setup: "    python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
        files: &[
            ("{module}.py", file!("examples/plugins/python/mask_email.py")),
            ("sdk/sluicegate.py", file!("plugins/sdk-python/sluicegate.py")),
            (".gitignore", "*.wasm\n.venv\n__pycache__\n"),
        ],
        objects: &[],
    },
    Language {
        name: "assemblyscript",
        source: "{name}.ts",
        sdk: "sdk",
        setup: "    npm install",
        files: &[
            ("{name}.ts", file!("examples/plugins/assemblyscript/mask-email.ts")),
            ("package.json", include_str!("template/assemblyscript/package.json")),
            ("asconfig.json", include_str!("template/assemblyscript/asconfig.json")),
            ("tsconfig.json", include_str!("template/assemblyscript/tsconfig.json")),
            ("sdk/asconfig.json", file!("plugins/sdk-assemblyscript/asconfig.json")),
            ("sdk/batch.ts", file!("plugins/sdk-assemblyscript/batch.ts")),
            ("sdk/columns.ts", file!("plugins/sdk-assemblyscript/columns.ts")),
            ("sdk/exports.ts", file!("plugins/sdk-assemblyscript/exports.ts")),
            ("sdk/host.ts", file!("plugins/sdk-assemblyscript/host.ts")),
            ("sdk/json.ts", file!("plugins/sdk-assemblyscript/json.ts")),
            ("sdk/memory.ts", file!("plugins/sdk-assemblyscript/memory.ts")),
            ("sdk/names.mjs", file!("plugins/sdk-assemblyscript/names.mjs")),
            ("sdk/plugin.ts", file!("plugins/sdk-assemblyscript/plugin.ts")),
            ("sdk/sluicegate.ts", file!("plugins/sdk-assemblyscript/sluicegate.ts")),
            ("sdk/table.ts", file!("plugins/sdk-assemblyscript/table.ts")),
            ("sdk/text.ts", file!("plugins/sdk-assemblyscript/text.ts")),
            (".gitignore", "*.wasm\nnode_modules\n"),
        ],
        objects: &[],
    },
    Language {
        name: "go",
        source: "{module}.go",
        sdk: "sdk",
        setup: "    go version   # 1.24 or later, from https://go.dev/dl; nothing else is needed",
        files: &[
            ("{module}.go", file!("examples/plugins/go/mask_email.go")),
            ("go.mod", file!("examples/plugins/go/go.mod")),
            ("sdk/abi.go", file!("plugins/sdk-go/abi.go")),
            ("sdk/clock.go", file!("plugins/sdk-go/clock.go")),
            ("sdk/exports.go", file!("plugins/sdk-go/exports.go")),
            ("sdk/go.mod", file!("plugins/sdk-go/go.mod")),
            ("sdk/native.go", file!("plugins/sdk-go/native.go")),
            ("sdk/plan.go", file!("plugins/sdk-go/plan.go")),
            ("sdk/plugin.go", file!("plugins/sdk-go/plugin.go")),
            ("sdk/row.go", file!("plugins/sdk-go/row.go")),
            ("sdk/rows.go", file!("plugins/sdk-go/rows.go")),
            (".gitignore", "*.wasm\n"),
        ],
        objects: &[],
    },
];

const RUST: &[(&str, &str)] = rust_sdk![
    "bindings.rs",
    "column.rs",
    "config.rs",
    "grants.rs",
    "instance.rs",
    "lib.rs",
    "log.rs",
    "pattern.rs",
    "plan.rs",
    "row.rs",
    "shapes.rs",
    "testing.rs",
];

/// What every template has.
const COMMON: &[(&str, &str)] = &[
    ("README.md", include_str!("template/README.md")),
    ("rows.ndjson", include_str!("template/rows.ndjson")),
    ("expected.ndjson", include_str!("template/expected.ndjson")),
];

/// Writes a new plugin called `name` into `folder`, which must not be there yet, or be empty. Answers the files, in order.
pub fn create(language: &Language, name: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || name.len() > 64 || !name.split('-').all(|part| !part.is_empty() && part.chars().all(plain)) {
        return Err(Error::new(ErrorKind::Config, "the plugin's name is not usable as that of a package in every language")
            .remedy("write lower-case letters and digits, with `-` between words: mask-email"));
    }
    let fault = |path: &Path, e| {
        Error::new(ErrorKind::Precheck, format!("{} cannot be written", path.display()))
            .caused_by(e)
            .remedy("name another place with --folder")
    };
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::new(ErrorKind::Config, format!("{} is there already and not empty", folder.display()))
            .remedy("give the plugin another name, or another place with --folder"));
    }
    let filled = |text: &str| text.replace("{name}", name).replace("{module}", &name.replace('-', "_"));
    let texts = language.files.iter().chain(COMMON).map(|(path, text)| (*path, adapted(path, text, name, language).into_bytes()));
    let objects = language.objects.iter().map(|(path, bytes)| (*path, bytes.to_vec()));
    let mut written = Vec::new();
    for (path, bytes) in texts.chain(objects) {
        let path = folder.join(filled(path));
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes)).map_err(|e| fault(&path, e))?;
        written.push(path);
    }
    Ok(written)
}

/// A file of the template, with the new plugin's name, and the SDK where it stands there. The SDK's own files stay as they are.
fn adapted(path: &str, text: &str, name: &str, language: &Language) -> String {
    if path.starts_with("vendor/") || path.starts_with("sdk/") || path.starts_with("wit/") {
        return text.to_owned();
    }
    let module = name.replace('-', "_");
    // the type of the example, in the languages that have one
    let kind: String = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
    text.replace("../../../plugins/sdk-js/", "./sdk/")
        .replace("../../../plugins/sdk-assemblyscript/", "./sdk/")
        .replace("../../../plugins/sdk-go", "./sdk")
        .replace("../../../plugins/sdk", "vendor/sdk")
        .replace("mask-email", name)
        .replace("mask_email", &module)
        .replace("MaskEmail", &kind)
        .replace("{setup}", language.setup)
        .replace("{source}", language.source)
        .replace("{sdk}", language.sdk)
        .replace("{name}", name)
        .replace("{module}", &module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_leaves_nothing_of_the_example_behind() {
        for language in LANGUAGES {
            let folder = tempfile::tempdir().unwrap();
            let files = create(&language, "hide-phone2", folder.path()).unwrap();
            for file in files {
                let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
                let own = !file.strip_prefix(folder.path()).unwrap().starts_with(language.sdk);
                for word in ["mask-email", "mask_email", "MaskEmail", "{name}", "{module}", "{setup}", "../plugins"] {
                    assert!(!own || !text.contains(word), "{}: {word}", file.display());
                }
            }
            let source = language.source.replace("{name}", "hide-phone2").replace("{module}", "hide_phone2");
            assert!(folder.path().join(source).is_file());
        }
    }

    #[test]
    fn a_name_or_a_folder_that_is_taken_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "Mask", "a b", "../x", "1st", "a--b", "a_b"] {
            assert_eq!(create(&LANGUAGES[0], name, &folder.path().join("new")).unwrap_err().kind(), ErrorKind::Config, "{name}");
        }
        fs::write(folder.path().join("mine"), "").unwrap();
        assert_eq!(create(&LANGUAGES[0], "mine", folder.path()).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn every_file_of_the_sdks_is_in_its_template() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        for (language, at, there) in [
            (0, "vendor/sdk/src", "plugins/sdk/src"),
            (0, "vendor/table-pattern/src", "plugins/table-pattern/src"),
            (1, "sdk", "plugins/sdk-c"),
            (2, "sdk", "plugins/sdk-js"),
            (3, "sdk", "plugins/sdk-python"),
            (4, "sdk", "plugins/sdk-assemblyscript"),
            (5, "sdk", "plugins/sdk-go"),
        ] {
            for entry in fs::read_dir(root.join(there)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{at}/{}", path.file_name().unwrap().to_string_lossy());
                let known = LANGUAGES[language].files.iter().any(|(file, _)| *file == name);
                assert!(known || path.is_dir() || name.ends_with(".md"), "{} is not in the template", path.display());
            }
        }
    }

    #[test]
    fn the_standalone_sdk_takes_the_same_dependencies() {
        let workspace = file!("Cargo.toml");
        for standalone in [file!("plugins/sdk/Cargo.standalone.toml"), file!("plugins/table-pattern/Cargo.standalone.toml")] {
            let dependencies = standalone.split("[dependencies]").nth(1).unwrap();
            for line in dependencies.lines().filter(|line| line.contains(" = ")) {
                let (name, rest) = line.split_once(" = ").unwrap();
                // a version, or the folder of a crate of this repository
                let version = rest.split('"').nth(1).unwrap().replace("../", "plugins/");
                let same =
                    workspace.lines().any(|l| l.split_once(" = ").is_some_and(|(n, r)| n == name && r.split('"').nth(1) == Some(&version)));
                assert!(same, "{name} {version} is not the workspace's");
            }
        }
    }
}
