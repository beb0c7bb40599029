//! What a dependency in Poetry's notation says: its condition and its versions.

use crate::input::get_str;
use crate::specifier::{Constraint, Marker, all_markers, poetry_constraint};
use toml::de::{DeTable, DeValue};

/// The condition that a dependency in Poetry's notation carries: its `markers`, `python` and `platform`
/// together.
pub(crate) fn poetry_marker(table: &DeTable<'_>) -> Result<Option<String>, String> {
    let mut markers = Vec::new();
    if let Some(marker) = get_str(table, "markers") {
        Marker::parse(marker).map_err(|e| e.to_string())?;
        markers.push(marker.to_owned());
    }
    if let Some(python) = get_str(table, "python") {
        markers.extend(poetry_constraint(python).map_err(|e| e.to_string())?.to_python_marker());
    }
    if let Some(platform) = get_str(table, "platform") {
        // Poetry allows alternatives here as in versions: `linux || darwin`.
        let mut alternatives = Vec::new();
        for platform in platform.split('|').map(str::trim).filter(|p| !p.is_empty()) {
            let (operator, name) = match platform.strip_prefix("!=") {
                Some(name) => ("!=", name.trim()),
                None => ("==", platform.trim_start_matches('=').trim()),
            };
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("`{platform}` is not a platform"));
            }
            alternatives.push(format!("sys_platform {operator} \"{name}\""));
        }
        markers.push(alternatives.join(" or "));
    }
    Ok(all_markers(markers))
}

/// The version constraint of a dependency in Poetry's notation; `None` where there is none, as for a path.
pub(crate) fn version_of(value: &DeValue<'_>) -> Option<Constraint> {
    let text = match value {
        DeValue::String(text) => text.as_ref(),
        DeValue::Table(table) => get_str(table, "version")?,
        _ => return None,
    };
    poetry_constraint(text).ok()
}
