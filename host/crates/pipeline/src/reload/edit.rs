//! What changed in a pipeline file, and which of it can be applied while the stream runs.

use std::collections::BTreeMap;

use sluicegate_config::{LetterTopic, Pipeline, Plugin};

/// The plugins' part of an edit, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Still there, with another component, selection, configuration or policy.
    pub changed: Vec<String>,
    /// Whether plugins that stay have changed places.
    pub reordered: bool,
}

/// What became of the plugins.
pub(super) fn difference<'a>(old: impl Iterator<Item = &'a Plugin> + Clone, new: &[Plugin]) -> Difference {
    let before: BTreeMap<&str, &Plugin> = old.clone().map(|p| (p.name.as_str(), p)).collect();
    let after: BTreeMap<&str, &Plugin> = new.iter().map(|p| (p.name.as_str(), p)).collect();
    let stays = |name: &&str| before.contains_key(name) && after.contains_key(name);
    Difference {
        added: new.iter().filter(|p| !before.contains_key(p.name.as_str())).map(|p| p.name.clone()).collect(),
        removed: old.clone().filter(|p| !after.contains_key(p.name.as_str())).map(|p| p.name.clone()).collect(),
        changed: new.iter().filter(|p| before.get(p.name.as_str()).is_some_and(|b| b != p)).map(|p| p.name.clone()).collect(),
        reordered: !old.map(|p| p.name.as_str()).filter(stays).eq(new.iter().map(|p| p.name.as_str()).filter(stays)),
    }
}

/// The keys whose values only a start takes up.
pub(super) fn at_the_next_start(running: &Pipeline, edited: &Pipeline) -> Vec<&'static str> {
    // taken apart, so that a new field cannot be forgotten here
    let Pipeline {
        file: _,
        name,
        labels,
        source,
        plugins: _,
        sinks,
        state,
        dead_letter,
        letter_topic,
        cache,
        http,
        admin,
        workers,
        limits,
    } = edited;
    // the sink's own settings are compared among the sinks
    let letters = |topic: &Option<LetterTopic>| topic.as_ref().map(|letters| (letters.topic.clone(), letters.sink.clone()));
    let changed: [(&str, bool); 10] = [
        ("name", *name != running.name),
        ("labels", *labels != running.labels),
        ("source", *source != running.source),
        ("sinks", *sinks != running.sinks),
        ("state", *state != running.state),
        ("dead_letter", *dead_letter != running.dead_letter || letters(letter_topic) != letters(&running.letter_topic)),
        ("cache", *cache != running.cache),
        ("http", *http != running.http || *admin != running.admin),
        ("workers", *workers != running.workers),
        ("limits", *limits != running.limits),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}

/// Whether the plugins are the same, in the same order.
pub(super) fn is_same<'a>(running: impl Iterator<Item = &'a Plugin>, edited: &[Plugin]) -> bool {
    running.eq(edited)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use sluicegate_config as config;

    fn pipeline(plugins: &str, rest: &str) -> Pipeline {
        let text = format!("name: shop\nsource: {{ type: generator }}\nplugins: [{plugins}]\nsinks: [{{ type: stdout }}]\n{rest}");
        config::load_str(&text, Path::new("/shop"), |_| None).unwrap()
    }

    #[test]
    fn what_became_of_the_plugins_is_told() {
        let old = pipeline("{ use: filter }, { use: map-names }, { file: mask.wasm }", "");
        let new = pipeline("{ file: mask.wasm, on_error: skip }, { use: filter }, { file: hash.wasm }", "");
        let difference = difference(old.plugins.iter(), &new.plugins);
        assert_eq!(difference.added, ["hash"]);
        assert_eq!(difference.removed, ["map-names"]);
        assert_eq!(difference.changed, ["mask"]);
        assert!(difference.reordered);
        assert!(!is_same(old.plugins.iter(), &new.plugins) && is_same(new.plugins.iter(), &new.plugins));
    }

    #[test]
    fn what_only_a_start_takes_up_is_told() {
        let old = pipeline("", "");
        let new = pipeline("{ use: filter }", "workers: 2\nlimits: { batch_changes: 10 }\n");
        assert_eq!(at_the_next_start(&old, &new), ["workers", "limits"]);
        assert!(at_the_next_start(&old, &old).is_empty());
    }
}
