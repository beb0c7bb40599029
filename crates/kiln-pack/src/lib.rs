//! Trees become deterministic zip or tar bytes, and hostile zip or tar bytes become members that are safe to use.
//!
//! Nothing here touches disk: archives arrive and leave through `Read`, `Write` and `Seek`. The same entries give the
//! same bytes on every host, forever within one format version; [`COMPRESSOR`] is part of that version and goes into
//! every record.

mod bounded_tar;
mod container;
mod deflate;
mod elf_strip;
mod error;
mod layer;
mod limits;
mod path_guard;
mod read_or;
mod tar_reader;
mod tar_writer;
mod zip_directory;
mod zip_format;
mod zip_reader;
mod zip_writer;

pub use bounded_tar::{BoundedEntries, BoundedReader, BoundedTar};
pub use container::{FieldDifference, LEADING, gzip_differences, tar_differences, zip_differences};
pub use deflate::{COMPRESSOR, Compressed, Method, compress, compress_all, inflate, inflate_checked};
pub use elf_strip::{STRIP_RULES, StripLevel, Stripped, strip_elf};
pub use error::PackError;
pub use layer::{BLOCK, LayerCodec, LayerSums, LayerWriter, layer_tar};
pub use limits::Limits;
pub use tar_reader::{TarContent, TarFile, TarItem, read_tar, stream_tar};
pub use tar_writer::TarWriter;
pub use zip_reader::{Member, ZipReader, member_at, raw_stream_at};
pub use zip_writer::ZipWriter;

/// The result of packing or unpacking.
pub type Result<T, E = PackError> = std::result::Result<T, E>;
