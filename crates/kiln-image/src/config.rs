//! The config of a base image, as whoever builds on it reads it.

use crate::ImageError;
use kiln_record::{Digest, HealthCheck, ImageRuns, Platform};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The largest config that is read, in bytes.
const CONFIG_LIMIT: usize = 8 << 20;

/// What a base's config says.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseConfig {
    /// What it runs on.
    pub platform: Platform,
    /// The variant of the processor, if it states one, such as `v8`.
    pub variant: Option<String>,
    /// How it is started.
    pub runs: ImageRuns,
    /// The digests of its layers' tars, bottom first.
    pub diff_ids: Vec<Digest>,
    /// Its history, as it is written there; one entry for each layer, and entries for what made none.
    pub history: Vec<Value>,
}

impl BaseConfig {
    /// What a config says that its image runs on, whether kiln knows that or not: `windows/amd64`.
    ///
    /// # Errors
    /// [`ImageError::Document`] if it is none.
    pub fn stated_platform(bytes: &[u8]) -> Result<String, ImageError> {
        let broken =
            |reason: &str| ImageError::Document { what: "config".to_owned(), reason: reason.to_owned() };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))?;
        match (value.get("os").and_then(Value::as_str), value.get("architecture").and_then(Value::as_str)) {
            (Some(os), Some(architecture)) => Ok(format!("{os}/{architecture}")),
            _ => Err(broken("it does not say which system and processor it is for")),
        }
    }

    /// Reads a config (OCI image specification 1.1, "Image Configuration").
    ///
    /// # Errors
    /// [`ImageError::Image`] if it is none, or is for no Linux that kiln knows.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let error = |reason: String| ImageError::Image { reason: format!("the base's config: {reason}") };
        if bytes.len() > CONFIG_LIMIT {
            return Err(error(format!("it is larger than {CONFIG_LIMIT} bytes")));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|e| error(e.to_string()))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let platform = format!("{}/{}", text("os"), text("architecture"))
            .parse()
            .map_err(|e: kiln_record::PlatformError| error(e.to_string()))?;
        let diff_ids = value
            .pointer("/rootfs/diff_ids")
            .and_then(Value::as_array)
            .ok_or_else(|| error("it names no layers".to_owned()))?
            .iter()
            .map(|id| {
                let text = id.as_str().unwrap_or_default();
                text.parse::<Digest>().map_err(|e| error(e.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let stated = value.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
        let of_layers =
            stated.iter().filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true))).count();
        // A history that does not fit its layers would shift what is said of ours.
        let history = if of_layers == diff_ids.len() {
            stated
        } else {
            diff_ids.iter().map(|_| serde_json::json!({"created_by": "base"})).collect()
        };
        let variant = Some(text("variant")).filter(|text| !text.is_empty()).map(str::to_owned);
        let runs = runs(value.get("config").unwrap_or(&Value::Null));
        Ok(Self { platform, variant, runs, diff_ids, history })
    }
}

fn runs(config: &Value) -> ImageRuns {
    let words = |key: &str| -> Vec<String> { strings(config.get(key)) };
    let text = |key: &str| {
        config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let names = |key: &str| -> BTreeSet<String> {
        config.get(key).and_then(Value::as_object).into_iter().flat_map(|map| map.keys().cloned()).collect()
    };
    let labels = config.get("Labels").and_then(Value::as_object);
    ImageRuns {
        entrypoint: words("Entrypoint"),
        command: words("Cmd"),
        user: text("User"),
        working_dir: text("WorkingDir"),
        environment: words("Env")
            .iter()
            .filter_map(|entry| entry.split_once('='))
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        labels: labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<BTreeMap<_, _>>(),
        ports: names("ExposedPorts"),
        volumes: names("Volumes"),
        stop_signal: text("StopSignal"),
        health_check: config.get("Healthcheck").and_then(|value| health_check(value, &words("Shell"))),
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let texts = value.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Docker's health check; a shell's text becomes the image's shell with that text.
fn health_check(value: &Value, shell: &[String]) -> Option<HealthCheck> {
    let test = strings(value.get("Test"));
    let command = match test.split_first() {
        Some((kind, words)) if kind == "CMD" && !words.is_empty() => words.to_vec(),
        Some((kind, [text])) if kind == "CMD-SHELL" => {
            let usual = ["/bin/sh".to_owned(), "-c".to_owned()];
            let shell = if shell.is_empty() { &usual } else { shell };
            shell.iter().chain([text]).cloned().collect()
        }
        _ => return None,
    };
    let seconds = |key: &str, usual: u32| {
        let nanoseconds = value.get(key).and_then(Value::as_u64).filter(|n| *n > 0);
        nanoseconds.map_or(usual, |n| u32::try_from(n.div_ceil(1_000_000_000)).unwrap_or(u32::MAX))
    };
    Some(HealthCheck {
        command,
        interval: seconds("Interval", 30),
        timeout: seconds("Timeout", 30),
        start_period: seconds("StartPeriod", 0),
        retries: value
            .get("Retries")
            .and_then(Value::as_u64)
            .filter(|n| *n > 0)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(3),
    })
}
