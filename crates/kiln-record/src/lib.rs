//! The nouns of kiln.
//!
//! Every other crate speaks in these types: digests, names, platforms, trees, inventories, findings, records,
//! format versions and exit codes. Nothing here touches disk, network, terminal, environment or clock.

mod archive;
mod binary;
mod canonical;
mod check;
mod component;
mod component_statement;
mod core_metadata;
mod counted;
mod cpe;
mod digest;
mod environment;
mod epoch;
mod error;
mod excerpt;
pub mod exit;
mod finding;
mod image;
mod image_index;
mod license;
mod name;
mod organization;
mod platform;
mod policy;
mod printed;
mod record;
mod runtime;
#[cfg(feature = "schema")]
mod schema;
mod transformation;
mod tree;

pub use archive::{Archive, crate_of_url};
pub use binary::{Binary, LinkEvidence, Linked};
pub use canonical::{canonical_json, digest_of_value};
pub use check::{Check, CheckName, CheckOutcome};
pub use component::{
    BuildRequirement, BuiltFrom, Component, ComponentId, ComponentIdError, Distribution, Ecosystem, Embedded,
    EmbeddedScope, MadeBy, MadeFrom, Metadata, Origin, OriginSource, Supplier, SystemPackage, Upstream,
};
pub use component_statement::ComponentStatement;
pub use core_metadata::MetadataFields;
pub use counted::counted;
pub use cpe::cpe_name;
pub use digest::{Digest, DigestError, Hasher, HashingWriter, LongHasher, is_sha512};
pub use environment::{Environment, Fact, FactChange, Imitated, bounds, changeable, facts};
pub use epoch::{Epoch, EpochError};
pub use error::{Advice, Defect, Hint, RunError};
pub use excerpt::excerpt;
pub use exit::Exit;
pub use finding::{Code, Finding, Level, Place, UnknownCode};
pub use image::{Attributes, HealthCheck, ImageBase, ImageLayer, ImageRecord, ImageRuns, LayerRole, Surface};
pub use image_index::{IndexRecord, IndexedPlatform};
pub use license::{LicenseTexts, is_license_expression, license_expression};
pub use name::{ArtifactName, BaseName, DistributionName, NameError};
pub use organization::Organization;
pub use platform::{Architecture, Platform, PlatformError};
pub use policy::{JudgedBy, PolicyLevel, StatedException};
pub use printed::printed;
pub use record::{
    ArtifactKind, Cause, FORMAT_VERSION, FileRecord, FormatVersion, FormatVersionError, Gap, ImportRecord,
    Importable, Input, InputRole, Output, Record, RecordError, Target,
};
pub use runtime::{OperatingSystem, Provided, PythonPatch, Runtime, runtimes};
pub use transformation::{Transformation, TransformedComponent};
pub use tree::{Entry, Mode, Tree, TreeError, TreePath, TreePathError};
