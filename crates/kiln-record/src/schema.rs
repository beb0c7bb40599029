//! The schemas of types that are written as a text of their own form.

use crate::{
    Architecture, ArtifactName, BaseName, ComponentId, Digest, DistributionName, Epoch, FormatVersion,
    Platform, TreePath,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! texts {
    ($($type:ident, $description:literal, $pattern:literal;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description, "pattern": $pattern })
            }
        }
    )*};
}

texts! {
    Architecture, "A processor architecture: `x86_64` (or `amd64`), `arm64` (or `aarch64`).",
        "^(x86_64|amd64|arm64|aarch64)$";
    ArtifactName, "The name of an artifact: the stem of its manifest's file name.",
        r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$";
    BaseName, "The name of a base: the stem of its definition's file name.",
        r"^[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*$";
    ComponentId, "What identifies a component within one artifact: its ecosystem, a slash, and its name.",
        "^(application|python|debian|rpm|native)/";
    Digest, "The SHA-256 of some bytes.", "^sha256:[0-9a-f]{64}$";
    DistributionName, "The name of a Python distribution.", r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$";
    Epoch, "A time in UTC with whole seconds.", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
    FormatVersion, "A format: what is only added raises the second number, anything else the first.",
        r"^[0-9]+\.[0-9]+$";
    Platform, "An operating system and an architecture, as in OCI.", "^linux/(x86_64|amd64|arm64|aarch64)$";
    TreePath, "A path inside a tree: relative, without `.` and `..`.", r"^[^/\\]+(/[^/\\]+)*$";
}
