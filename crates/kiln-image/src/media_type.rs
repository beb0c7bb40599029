//! Media types of OCI documents and layers (OCI image specification 1.1, "OCI Image Media Types").

/// The media type of an uncompressed layer.
pub const LAYER_MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The media type of a manifest.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of a config.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of an index.
pub const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of the config that says nothing.
pub const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
