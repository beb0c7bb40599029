//! What differs around equal content: the fields of zips, and of the tars that layers are.

use crate::PublishError;
use crate::content::Content;
use crate::named_build::NamedBuild;
use crate::scan::{ImagePlace, KeptLayer, kept_layers};
use kiln_audit::ContainerField;
use kiln_pack::{
    FieldDifference, LEADING, LayerCodec, Limits, gzip_differences, tar_differences, zip_differences,
};
use kiln_store::open_regular;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// Bytes of each of two files that are compared at once.
const PIECE: usize = 1 << 18;

/// The fields in which two archives of the same content differ.
pub(crate) fn container_fields(
    before: &NamedBuild,
    after: &NamedBuild,
) -> Result<Vec<ContainerField>, PublishError> {
    match (&before.content, &after.content) {
        (Some(Content::Zip(a)), Some(Content::Zip(b))) => zips(a.path(), b.path()),
        (Some(Content::Image(a)), Some(Content::Image(b))) => layers((a, before), (b, after)),
        _ => Ok(Vec::new()),
    }
}

/// What stands before the first member of one of two zips, if it differs: it may be a program, and is no file of either.
pub(crate) fn leading_difference(
    before: &NamedBuild,
    after: &NamedBuild,
) -> Result<Vec<ContainerField>, PublishError> {
    let (Some(Content::Zip(a)), Some(Content::Zip(b))) = (&before.content, &after.content) else {
        return Ok(Vec::new());
    };
    if a.leading() == Some(0) && b.leading() == Some(0) {
        return Ok(Vec::new());
    }
    Ok(directories(a.path(), b.path())?.into_iter().filter(|field| field.field == LEADING).collect())
}

/// Images of the same content: the fields of the tars that their layers are, and of how these are compressed, where they have as many.
fn layers(
    before: (&ImagePlace, &NamedBuild),
    after: (&ImagePlace, &NamedBuild),
) -> Result<Vec<ContainerField>, PublishError> {
    let open = |(place, build): (&ImagePlace, &NamedBuild)| {
        let manifest = build.record.image.as_ref().map(|image| image.manifest);
        kept_layers(place, &build.label, manifest.as_ref())
    };
    let (old, new) = (open(before)?, open(after)?);
    if old.len() != new.len() {
        let (before, after) = (old.len().to_string(), new.len().to_string());
        return Ok(vec![ContainerField {
            field: "layers".to_owned(),
            members: 0,
            example: None,
            before,
            after,
        }]);
    }
    let mut fields = Vec::new();
    for (number, (a, b)) in (1..).zip(old.into_iter().zip(new)) {
        let compressed = compressed_differences(&a, &b);
        let found =
            tar_differences(a.tar, b.tar, &Limits::default()).map_err(|reason| PublishError::NotUsable {
                what: format!("{} and {}", before.1.label, after.1.label),
                reason: format!("layer {number} cannot be compared: {reason}"),
            })?;
        // Another tar is compressed to another stream.
        let of_stream = found.is_empty();
        fields.extend(found.into_iter().map(|one| {
            let field = format!("{} of layer {number}", one.field);
            ContainerField { field, ..field_of(one) }
        }));
        let compressed = compressed.into_iter().filter(|one| of_stream || one.field != STREAM);
        fields.extend(
            compressed.map(|one| ContainerField { field: format!("{} of layer {number}", one.field), ..one }),
        );
    }
    if fields.is_empty() {
        let documents = "the documents of the image, its config and manifest".to_owned();
        let shown = |build: &NamedBuild| {
            build.record.archive().map_or("none".to_owned(), |one| one.digest.to_string())
        };
        let (before, after) = (shown(before.1), shown(after.1));
        fields.push(ContainerField { field: documents, members: 0, example: None, before, after });
    }
    Ok(fields)
}

/// What differs where only the compressor made another choice.
const STREAM: &str = "compressed stream";

/// How two layers differ in what is around their tars: the compression, the header of gzip, else what the compressor made.
fn compressed_differences(before: &KeptLayer, after: &KeptLayer) -> Vec<ContainerField> {
    let field = |field: &str, before: String, after: String| ContainerField {
        field: field.to_owned(),
        members: 0,
        example: None,
        before,
        after,
    };
    if before.kept == after.kept {
        return Vec::new();
    }
    if before.codec != after.codec {
        let name = |codec| match codec {
            LayerCodec::None => "none",
            LayerCodec::Gzip => "gzip",
            LayerCodec::Zstd => "zstd",
        };
        return vec![field("compression", name(before.codec).to_owned(), name(after.codec).to_owned())];
    }
    let mut fields = match before.codec {
        LayerCodec::Gzip => gzip_differences(&before.start, &after.start).unwrap_or_default(),
        LayerCodec::None | LayerCodec::Zstd => Vec::new(),
    };
    let told = |layer: &KeptLayer| format!("{} bytes, {}", layer.kept.1, layer.kept.0);
    if fields.is_empty() {
        return vec![field(STREAM, told(before), told(after))];
    }
    let fields = fields
        .drain(..)
        .map(|one| field(&format!("{} in the header of gzip", one.field), one.before, one.after));
    fields.collect()
}

fn field_of(one: FieldDifference) -> ContainerField {
    ContainerField {
        field: one.field.to_owned(),
        members: one.members,
        example: one.example,
        before: one.before,
        after: one.after,
    }
}

fn zips(a: &Path, b: &Path) -> Result<Vec<ContainerField>, PublishError> {
    let mut fields = directories(a, b)?;
    if fields.is_empty() {
        fields.extend(first_byte(a, b)?);
    }
    Ok(fields)
}

/// What the directories of two zips say otherwise, and what stands before their members.
fn directories(a: &Path, b: &Path) -> Result<Vec<ContainerField>, PublishError> {
    let open = |path: &Path| Ok::<_, std::io::Error>(BufReader::new(open_regular(path)?));
    let differences = zip_differences(open(a)?, open(b)?, &Limits::default()).map_err(|reason| {
        PublishError::NotUsable {
            what: format!("{} and {}", a.display(), b.display()),
            reason: format!("their containers cannot be compared: {reason}"),
        }
    })?;
    Ok(differences.into_iter().map(field_of).collect())
}

/// Where two files differ first, where no field of the directory says so: headers before members, or what compressors made.
fn first_byte(a: &Path, b: &Path) -> Result<Option<ContainerField>, PublishError> {
    let (mut a, mut b) = (
        BufReader::with_capacity(PIECE, open_regular(a)?),
        BufReader::with_capacity(PIECE, open_regular(b)?),
    );
    let mut before = 0;
    loop {
        let (x, y) = (a.fill_buf()?, b.fill_buf()?);
        let both = x.len().min(y.len());
        let same =
            if x[..both] == y[..both] { both } else { x.iter().zip(y).take_while(|(x, y)| x == y).count() };
        if same < both || both == 0 {
            if x.is_empty() && y.is_empty() {
                return Ok(None);
            }
            let shown =
                |rest: &[u8]| rest.get(same).map_or("its end".to_owned(), |byte| format!("{byte:02x}"));
            return Ok(Some(ContainerField {
                field: format!(
                    "bytes that no field of the directory names, first at {}",
                    before + same as u64
                ),
                members: 0,
                example: None,
                before: shown(x),
                after: shown(y),
            }));
        }
        before += both as u64;
        a.consume(both);
        b.consume(both);
    }
}
