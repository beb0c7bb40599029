//! Images without an engine: Debian packages become a root file system layer, layers become an OCI image.
//!
//! Nothing here touches network, disk, environment or clock: bytes come from `Read`, go to `Write`, and every time is
//! an argument. Equal arguments give equal bytes. All input is treated as hostile: sizes are bounded, paths cannot
//! leave the tree, and malformed data is an error that says where.

mod artifact_manifest;
mod carried;
mod config;
mod contents;
mod contents_reader;
pub mod debian;
mod error;
mod file_system;
mod image_index;
mod laid_out;
mod lambda;
mod media_type;
mod mirror;
mod oci;
mod package_files;
mod reference;
mod rpm;
mod wheel_digests;

pub use artifact_manifest::{
    ArtifactManifest, Descriptor, EMPTY_CONFIG, Referrer, TITLE, image_config, manifest_blobs,
    read_referrers, referrers_tag, with_referrers,
};
pub use carried::CarriedDistribution;
pub use config::BaseConfig;
pub use contents::{ContentEntry, ImageContents, OsPackage};
pub use contents_reader::{CONTENTS_RULES, ContentsReader};
pub use error::ImageError;
pub use file_system::{Change, FileSystem, Node, NodeContent, write_changes};
pub use image_index::{
    IndexEntry, PlatformManifest, image_index, index_layout_documents, read_image_index, write_index_tar,
};
pub use laid_out::{Laid, LaidOut, archived_files, read_laid_out};
pub use lambda::{LAMBDA_ENTRYPOINT, RUNTIME_CLIENT};
pub use media_type::{
    CONFIG_MEDIA_TYPE, EMPTY_MEDIA_TYPE, INDEX_MEDIA_TYPE, LAYER_MEDIA_TYPE, MANIFEST_MEDIA_TYPE,
};
pub use mirror::{ImagePlace, RegistryMirror};
pub use oci::{
    Image, ImageSpec, Layer, Stated, archived_blobs, blob_path, layout_documents, write_archive,
    write_oci_tar,
};
pub use reference::Reference;
pub use wheel_digests::WheelDigests;
