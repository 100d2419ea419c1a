//! A plugin of the chain.

use super::{
    super::{
        Grants, OnError, Plugin, PluginOrigin, STANDARD_PLUGINS,
        problem::{list, nearest},
        raw::{RawGrant, RawPlugin, RawPluginOnError},
    },
    check::Check,
};

impl Check<'_> {
    pub(super) fn plugin(&mut self, path: &str, raw: RawPlugin) -> Plugin {
        let (origin, default_name) = match (raw.standard, raw.file) {
            (Some(name), None) => {
                if !STANDARD_PLUGINS.contains(&name.as_str()) {
                    let remedy = match nearest(&name, STANDARD_PLUGINS) {
                        Some(near) => format!("did you mean `{near}`? A plugin of your own goes under `file`"),
                        None => format!("write {}, or `file: ./plugin.wasm` for a plugin of your own", list(STANDARD_PLUGINS)),
                    };
                    self.refuse(format!("{path}.use"), "unknown standard plugin", remedy);
                }
                (PluginOrigin::Embedded(name.clone()), name)
            }
            (None, Some(file)) => {
                let file = self.path(&format!("{path}.file"), &file);
                let stem = file.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
                (PluginOrigin::File(file), stem)
            }
            (standard, _) => {
                let what = if standard.is_some() { "both `use` and `file` are there" } else { "neither `use` nor `file` is there" };
                self.refuse(path, what, format!("write `use:` with {}, or `file: ./plugin.wasm`", list(STANDARD_PLUGINS)));
                (PluginOrigin::Embedded(String::new()), "plugin".into())
            }
        };
        let name = raw.name.unwrap_or(default_name);
        self.name(&format!("{path}.name"), &name);
        if raw.fail_closed && matches!(raw.on_error, Some(RawPluginOnError::PassThrough)) {
            self.refuse(
                format!("{path}.on_error"),
                "a plugin that is `fail_closed` cannot pass on what it did not handle",
                "write `on_error: stop`, `skip` or `dead-letter`",
            );
        }
        Plugin {
            name,
            origin,
            tables: self.tables(&format!("{path}.tables"), &raw.tables),
            config: raw.config.map_or_else(|| "null".into(), |c| c.0.to_string()),
            on_error: match raw.on_error {
                None | Some(RawPluginOnError::Stop) => OnError::Stop,
                Some(RawPluginOnError::Skip) => OnError::Skip,
                Some(RawPluginOnError::DeadLetter) => OnError::DeadLetter,
                Some(RawPluginOnError::PassThrough) => OnError::PassThrough,
            },
            grants: Grants {
                clock: raw.grants.iter().any(|g| matches!(g, RawGrant::Clock)),
                random: raw.grants.iter().any(|g| matches!(g, RawGrant::Random)),
            },
            fail_closed: raw.fail_closed,
        }
    }
}
