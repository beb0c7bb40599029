//! What differs around equal content: the fields of zips, and of the tars that layers are.

use crate::PublishError;
use crate::content::Content;
use crate::named_build::NamedBuild;
use crate::scan::{ImagePlace, layer_tars};
use kiln_audit::ContainerField;
use kiln_pack::{FieldDifference, LEADING, Limits, tar_differences, zip_differences};
use kiln_store::open_regular;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// The fields in which two archives of the same content differ.
pub(crate) fn container_fields(
    before: &NamedBuild,
    after: &NamedBuild,
) -> Result<Vec<ContainerField>, PublishError> {
    match (&before.content, &after.content) {
        (Some(Content::Zip(a)), Some(Content::Zip(b))) => zips(a, b),
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
    Ok(zips(a, b)?.into_iter().filter(|field| field.field == LEADING).collect())
}

/// Images of the same content: the fields of the tars that their layers are, where they have as many.
fn layers(
    before: (&ImagePlace, &NamedBuild),
    after: (&ImagePlace, &NamedBuild),
) -> Result<Vec<ContainerField>, PublishError> {
    let open = |(place, build): (&ImagePlace, &NamedBuild)| {
        let manifest = build.record.image.as_ref().map(|image| image.manifest);
        layer_tars(place, &build.label, manifest.as_ref())
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
        let found = tar_differences(a, b, &Limits::default()).map_err(|reason| PublishError::NotUsable {
            what: format!("{} and {}", before.1.label, after.1.label),
            reason: format!("layer {number} cannot be compared: {reason}"),
        })?;
        fields.extend(found.into_iter().map(|one| {
            let field = format!("{} of layer {number}", one.field);
            ContainerField { field, ..field_of(one) }
        }));
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
    let open = |path: &Path| Ok::<_, std::io::Error>(BufReader::new(open_regular(path)?));
    let differences = zip_differences(open(a)?, open(b)?, &Limits::default()).map_err(|reason| {
        PublishError::NotUsable {
            what: format!("{} and {}", a.display(), b.display()),
            reason: format!("their containers cannot be compared: {reason}"),
        }
    })?;
    let mut fields: Vec<ContainerField> = differences.into_iter().map(field_of).collect();
    if fields.is_empty() {
        fields.extend(first_byte(a, b)?);
    }
    Ok(fields)
}

/// Where two files differ first, where no field of the directory says so: headers before members, or what compressors made.
fn first_byte(a: &Path, b: &Path) -> Result<Option<ContainerField>, PublishError> {
    let (mut a, mut b) = (BufReader::new(open_regular(a)?).bytes(), BufReader::new(open_regular(b)?).bytes());
    for offset in 0_u64.. {
        match (a.next().transpose()?, b.next().transpose()?) {
            (None, None) => break,
            (x, y) if x == y => {}
            (x, y) => {
                let shown =
                    |byte: Option<u8>| byte.map_or("its end".to_owned(), |byte| format!("{byte:02x}"));
                return Ok(Some(ContainerField {
                    field: format!("bytes that no field of the directory names, first at {offset}"),
                    members: 0,
                    example: None,
                    before: shown(x),
                    after: shown(y),
                }));
            }
        }
    }
    Ok(None)
}
