//! Entrance for the fuzz target in `host/fuzz`: whatever a pipeline file and the environment hold, a pipeline or an error.

/// A pipeline file, and behind a zero byte what every environment variable holds; without one there are none.
pub fn pipeline_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let (text, variable) = text.split_once('\0').map_or((text, None), |(text, variable)| (text, Some(variable.to_owned())));
        drop(crate::load_str(text, std::path::Path::new("/"), |_| variable.clone()));
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn pipeline_file_takes_any_bytes() {
        fuzz::run("pipeline_file", super::pipeline_file, 100);
    }
}
