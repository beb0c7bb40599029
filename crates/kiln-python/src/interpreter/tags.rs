//! Wheel tags: which ones an interpreter loads, best first (packaging specification "platform compatibility
//! tags", PEP 600 for manylinux). The order is that of `packaging.tags` before release 26, which moved the
//! plain `linux` tag to the front: a tag that states no glibc stays the last resort here.

/// The wheel tags of CPython 3.`minor` on Linux, best first. Without glibc, only wheels that name no C
/// library fit. Musl builds never load on Lambda, whose runtimes have glibc.
pub(crate) fn cpython_tags(minor: u32, glibc: Option<(u32, u32)>, machine: &str) -> Vec<String> {
    let platforms = linux_platforms(glibc, machine);
    let python = format!("cp3{minor}");
    let mut tags = Vec::new();
    let mut add = |python: &str, abi: &str| {
        tags.extend(platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
    };
    add(&python, &python);
    add(&python, "abi3");
    add(&python, "none");
    // The stable ABI begins with 3.2 (PEP 384).
    for older in (2..minor).rev() {
        add(&format!("cp3{older}"), "abi3");
    }
    let generic: Vec<String> = [format!("py3{minor}"), "py3".to_owned()]
        .into_iter()
        .chain((0..minor).rev().map(|older| format!("py3{older}")))
        .collect();
    for python in &generic {
        add(python, "none");
    }
    tags.push(format!("{python}-none-any"));
    tags.extend(generic.iter().map(|python| format!("{python}-none-any")));
    tags
}

fn linux_platforms(glibc: Option<(u32, u32)>, machine: &str) -> Vec<String> {
    let mut platforms = Vec::new();
    if let Some((2, minor)) = glibc {
        // The oldest glibc that a manylinux tag exists for: 2.5 on x86 (PEP 513), 2.17 elsewhere (PEP 599).
        let oldest = if machine == "x86_64" { 5 } else { 17 };
        for version in (oldest..=minor.min(999)).rev() {
            platforms.push(format!("manylinux_2_{version}_{machine}"));
            match version {
                17 => platforms.push(format!("manylinux2014_{machine}")),
                12 => platforms.push(format!("manylinux2010_{machine}")),
                5 => platforms.push(format!("manylinux1_{machine}")),
                _ => {}
            }
        }
    }
    platforms.push(format!("linux_{machine}"));
    platforms
}

/// The glibc version that a manylinux platform tag asks for.
pub(crate) fn glibc_of_platform(platform: &str) -> Option<(u32, u32)> {
    let rest = platform.strip_prefix("manylinux")?;
    if let Some(rest) = rest.strip_prefix('_') {
        let mut parts = rest.splitn(3, '_');
        return Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?));
    }
    match rest.split_once('_')?.0 {
        "1" => Some((2, 5)),
        "2010" => Some((2, 12)),
        "2014" => Some((2, 17)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning, the middle and the end of `packaging.tags.sys_tags()` on such an interpreter.
    #[test]
    fn order_is_that_of_packaging() {
        let tags = cpython_tags(13, Some((2, 34)), "x86_64");
        assert_eq!(tags[0], "cp313-cp313-manylinux_2_34_x86_64");
        assert_eq!(tags[17], "cp313-cp313-manylinux_2_17_x86_64");
        assert_eq!(tags[18], "cp313-cp313-manylinux2014_x86_64");
        assert_eq!(tags[33], "cp313-cp313-linux_x86_64");
        assert_eq!(tags[34], "cp313-abi3-manylinux_2_34_x86_64");
        assert_eq!(tags.last().unwrap(), "py30-none-any");
        let at = |tag: &str| tags.iter().position(|t| t == tag).unwrap();
        assert!(at("cp313-none-manylinux1_x86_64") < at("cp312-abi3-manylinux_2_34_x86_64"));
        assert!(at("cp32-abi3-linux_x86_64") < at("py313-none-manylinux_2_34_x86_64"));
        assert!(at("py313-none-linux_x86_64") < at("py3-none-manylinux_2_34_x86_64"));
        assert!(at("cp313-none-any") < at("py313-none-any"));
        assert!(!tags.iter().any(|t| t.contains("musllinux")));
    }

    /// Digests of all tags, one a line, from `packaging.tags` 24.2 for CPython on x86-64 with glibc 2.34.
    #[test]
    fn all_tags_are_those_of_packaging() {
        for (minor, count, digest) in [
            (9, 726, "0295fcff54bd92c0ac75a84bd2c642ab4f14d971df6307174f924bc98d9e50c9"),
            (11, 864, "4fde829ba10bd750a3aa016036378f91ae0f9fa6c12098a7cff726ba424cc746"),
            (13, 1002, "7a2616cb78cdefb6b1ff3b251b82a8ba921901a2aaf29bace6c5df557427dea5"),
        ] {
            let tags = cpython_tags(minor, Some((2, 34)), "x86_64");
            assert_eq!(tags.len(), count);
            assert_eq!(kiln_record::Digest::of(tags.join("\n").as_bytes()).hex(), digest);
        }
    }
}
