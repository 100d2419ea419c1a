//! One renaming: a whole name, or a regular expression with groups.

use regex_lite::Regex;

/// How a name is found and what it becomes.
#[derive(Debug)]
pub enum Rename {
    /// This name becomes that one.
    Exact(String, String),
    /// What the expression matches, whole, becomes the template.
    Pattern(Regex, String),
}

impl Rename {
    /// A renaming from an entry's `from` or `pattern`, and its `to`.
    pub fn new(from: Option<String>, pattern: Option<String>, to: String) -> Result<Self, String> {
        if to.trim().is_empty() {
            return Err("`to` is empty; give a name".into());
        }
        match (from, pattern) {
            (Some(from), None) => Ok(Rename::Exact(from, to)),
            (None, Some(pattern)) => {
                let regex =
                    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("`{pattern}` is no regular expression: {error}"))?;
                check_groups(&regex, &pattern, &to)?;
                Ok(Rename::Pattern(regex, to))
            }
            _ => Err(format!("the entry with `to: {to}` needs either `from` or `pattern`")),
        }
    }

    /// The new name, if this renaming is for `name`.
    pub fn apply(&self, name: &str) -> Option<String> {
        match self {
            Rename::Exact(from, to) => (from == name).then(|| to.clone()),
            Rename::Pattern(regex, to) => regex.captures(name).map(|captures| {
                let mut new = String::new();
                captures.expand(to, &mut new);
                new
            }),
        }
    }
}

/// Refuses references to groups that the expression does not have: they would silently become nothing.
fn check_groups(regex: &Regex, pattern: &str, template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        let (group, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at_checked(end).unwrap_or((after, ""))
            }
        };
        let known = match group.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|name| name == group),
        };
        if !known {
            return Err(format!(
                "`{template}` refers to the group `{group}`, which `{pattern}` does not have; write `${{1}}` for the first group, `$$` for a dollar sign"
            ));
        }
        rest = behind;
    }
    Ok(())
}
