//! `${NAME}` in the pipeline file's texts.

use super::{
    document::{Node, Value},
    problem::Problem,
};

/// Replaces, in every text below `node`: `${NAME}` by the environment's value, `${NAME:-default}` by the default where
/// NAME is unset or empty, and `$${` by `${`. `${1}` and the like stay as they are: capture groups of patterns.
/// It works on parsed values, so no value can change the file's structure.
pub(super) fn substitute(node: &mut Node, env: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Text(text) => match replaced(text, env) {
            Ok(None) => {}
            Ok(Some(new)) => {
                *text = new;
                node.substituted = true;
            }
            Err((what, remedy)) => problems.push(Problem { path: node.path.clone(), line: node.line, what, remedy }),
        },
        Value::List(items) => items.iter_mut().for_each(|n| substitute(n, env, problems)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, n)| substitute(n, env, problems)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

type Refusal = (String, String);

fn replaced(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, Refusal> {
    if !text.contains("${") {
        return Ok(None);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    // `before` is always a piece of the file's own text: a value that ends in a dollar sign cannot escape what follows it
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inside, behind)) = after.split_once('}') else {
            return Err((
                "`${` without `}`".into(),
                "write `${NAME}` for a value from the environment, or `$${` for these two characters".into(),
            ));
        };
        match variable(inside, env)? {
            Some(value) => out.push_str(&value),
            None => {
                out.push_str("${");
                out.push_str(inside);
                out.push('}');
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// The value of what stands between the braces; `None` = a capture group.
fn variable(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, Refusal> {
    if !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Err((
            "`${…}` does not hold the name of an environment variable".into(),
            "write a name of letters, digits and `_` there, or `$${` for the characters themselves".into(),
        ));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(Some(value)),
        (Some(value), Some(_)) if !value.is_empty() => Ok(Some(value)),
        (_, Some(default)) => Ok(Some(default.to_owned())),
        (None, None) => Err((
            format!("the environment variable {name} is not set"),
            format!("set {name}, or give a default with `${{{name}:-default}}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "A" => Some("alpha".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$".to_owned()),
            "NESTED" => Some("${A}".to_owned()),
            _ => None,
        };
        replaced(text, &env).map(|r| r.unwrap_or_else(|| text.to_owned())).map_err(|e| e.0)
    }

    #[test]
    fn values_come_from_the_environment_once_and_escapes_stay() {
        assert_eq!(run("x${A}y${A}").unwrap(), "xalphayalpha");
        assert_eq!(run("${NONE:-fall}${EMPTY:-back}").unwrap(), "fallback");
        assert_eq!(run("[${EMPTY}]").unwrap(), "[]");
        assert_eq!(run("$${A} $1 ${1}").unwrap(), "${A} $1 ${1}");
        // what comes from the environment is not looked at again
        assert_eq!(run("${NESTED}").unwrap(), "${A}");
        assert_eq!(run("${DOLLAR}${A}").unwrap(), "$alpha");
        assert_eq!(run("plain $ text").unwrap(), "plain $ text");
    }

    #[test]
    fn what_cannot_be_replaced_is_told() {
        assert_eq!(run("${NONE}").unwrap_err(), "the environment variable NONE is not set");
        assert_eq!(run("${A").unwrap_err(), "`${` without `}`");
        assert_eq!(run("${MY-VAR}").unwrap_err(), "`${…}` does not hold the name of an environment variable");
        assert_eq!(run("${}").unwrap_err(), "`${…}` does not hold the name of an environment variable");
    }
}
