//! Whether a native file can be loaded where the artifact will run.
//!
//! The judgement is against the *target* runtime, not the base that built it: a base often has a newer glibc and would
//! load what Lambda refuses.

use crate::owner::way;
use crate::{ElfFacts, Libc};
use kiln_record::{Architecture, Code, Finding, Runtime, TreePath, runtimes};

/// What a native file has to load on.
#[derive(Clone, Copy, Debug)]
pub struct BinaryTarget<'a> {
    /// The Lambda runtime, for its operating system and glibc.
    pub runtime: &'a Runtime,
    /// The processor architecture.
    pub architecture: Architecture,
    /// The interpreter's major and minor version, where there is one.
    pub python: Option<(u32, u32)>,
}

/// Judges one ELF file. `owner` names the distribution and version that brought it, such as `pydantic-core 2.33.2`.
///
/// A file for another machine gives that finding alone, since nothing else about it matters then.
#[must_use]
pub fn check_binary(
    path: &TreePath,
    owner: &str,
    facts: &ElfFacts,
    target: &BinaryTarget<'_>,
) -> Vec<Finding> {
    if let Some(finding) = check_machine(path, owner, facts, target) {
        return vec![finding];
    }
    let mut findings = Vec::new();
    findings.extend(check_python(path, owner, facts, target));
    findings.extend(check_glibc(path, owner, facts, target));
    findings
}

fn check_machine(
    path: &TreePath,
    owner: &str,
    facts: &ElfFacts,
    target: &BinaryTarget<'_>,
) -> Option<Finding> {
    let wanted = target.architecture;
    if facts.machine == wanted.elf_machine() && facts.class64 && facts.little_endian {
        return None;
    }
    let machine = wanted.machine();
    Some(
        Finding::new(
            Code::WrongMachine,
            path.as_str(),
            format!("`{path}` of {owner} is for {}, but the target is {machine}", machine_name(facts)),
        )
        .detail(format!(
            "the ELF header has machine number {}; {machine} is {}",
            facts.machine,
            wanted.elf_machine()
        ))
        .remedy(way(
            owner,
            |_| format!("lock a wheel of {owner} for {machine}: its file name ends in `{machine}.whl` or `any.whl`"),
            format!("build it for {machine}: in a [[step]], whose base has the target's platform"),
        ))
        .remedy("or change the architecture of the target in the manifest"),
    )
}

/// The machine in words (numbers of the System V ABI's registry).
fn machine_name(facts: &ElfFacts) -> String {
    let name = match (facts.machine, facts.class64) {
        (3, _) => "32-bit x86 (i686)",
        (62, true) => "x86_64",
        (62, false) => "x86_64 with 32-bit pointers (x32)",
        (40, _) => "32-bit Arm (armv7l)",
        (183, _) if facts.little_endian => "aarch64",
        (183, _) => "big-endian aarch64",
        (21, _) => "ppc64",
        (22, _) => "s390x",
        (243, _) => "riscv",
        (258, _) => "loongarch",
        _ => return format!("another machine (number {})", facts.machine),
    };
    name.to_owned()
}

/// The tag between module name and `.so` that CPython's import system looks for (`EXTENSION_SUFFIXES`).
struct Suffix<'a> {
    /// `cpython` or another implementation.
    implementation: &'a str,
    /// Major and minor version.
    version: Option<(u32, u32)>,
    /// ABI letters after the number: `t` is free-threaded, `d` debug, `m` the old pymalloc mark.
    flags: &'a str,
    /// `x86_64-linux-gnu`, where the tag has it.
    platform: Option<&'a str>,
}

fn suffix(file_name: &str) -> Option<Suffix<'_>> {
    let tag = file_name.strip_suffix(".so")?.rsplit_once('.')?.1;
    let mut parts = tag.splitn(3, '-');
    let implementation = parts.next()?;
    if let Some(digits) = implementation.strip_prefix("pypy") {
        return Some(Suffix { implementation: "pypy", version: version(digits), flags: "", platform: None });
    }
    if implementation != "cpython" {
        return None;
    }
    let number = parts.next()?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (digits, flags) = number.split_at(end);
    Some(Suffix { implementation, version: version(digits), flags, platform: parts.next() })
}

/// `312` is 3.12: one digit for the major version.
fn version(digits: &str) -> Option<(u32, u32)> {
    Some((digits.get(..1)?.parse().ok()?, digits.get(1..)?.parse().ok()?))
}

fn check_python(
    path: &TreePath,
    owner: &str,
    facts: &ElfFacts,
    target: &BinaryTarget<'_>,
) -> Option<Finding> {
    let (major, minor) = target.python?;
    let suffix = suffix(path.file_name())?;
    let machine = target.architecture.machine();
    let wanted = format!(".cpython-{major}{minor}-{machine}-linux-gnu.so");
    let python = suffix.version.map_or("an unknown version".to_owned(), |(a, b)| format!("{a}.{b}"));
    let cause = if suffix.implementation == "pypy" {
        format!(
            "`{path}` of {owner} is compiled for PyPy, but {} runs CPython {major}.{minor}",
            target.runtime.name
        )
    } else if suffix.version != Some((major, minor)) {
        format!(
            "`{path}` of {owner} is compiled for Python {python}, but {} runs Python {major}.{minor}",
            target.runtime.name
        )
    } else if suffix.flags.contains('t') {
        format!("`{path}` of {owner} is compiled for the free-threaded build of Python {python}")
    } else if suffix.flags.contains('d') {
        format!("`{path}` of {owner} is compiled for a debug build of Python {python}")
    } else if suffix.platform.is_some_and(|p| p != format!("{machine}-linux-gnu")) {
        format!(
            "`{path}` of {owner} is named for the platform `{}`, so Python on {machine} with glibc will not find it",
            suffix.platform.unwrap_or_default()
        )
    } else {
        return None;
    };
    let mut finding = Finding::new(Code::WrongPythonAbi, path.as_str(), cause).detail(format!(
        "Python {major}.{minor} loads extension modules that end in `{wanted}`, `.abi3.so` or `.so`"
    ));
    if facts.libc == Libc::Musl {
        finding = finding.detail("it is linked against musl, the C library of Alpine");
    }
    Some(
        finding
            .remedy(way(
                owner,
                |_| format!("lock a wheel of {owner} tagged cp{major}{minor}, abi3 or none, for {machine}"),
                format!("build it for Python {major}.{minor} on {machine}, in a [[step]] or as a project with a wheel of its own"),
            ))
            .remedy(format!("or target the runtime that it is for, if Lambda has one: python{python}")),
    )
}

fn check_glibc(path: &TreePath, owner: &str, facts: &ElfFacts, target: &BinaryTarget<'_>) -> Option<Finding> {
    let system = &target.runtime.system;
    let (major, minor) = system.glibc;
    let has = format!("{} has {} with glibc {major}.{minor}", target.runtime.name, system.name);
    if facts.libc == Libc::Musl {
        return Some(
            Finding::new(
                Code::GlibcTooNew,
                path.as_str(),
                format!(
                    "`{path}` of {owner} is linked against musl, which does not load beside glibc; {has}"
                ),
            )
            .remedy(way(
                owner,
                |_| format!("lock a manylinux wheel of {owner} instead of the musllinux one"),
                format!("build it against glibc {major}.{minor} or older: in a [[step]] with such a base"),
            )),
        );
    }
    let needed = facts.versions.get("GLIBC")?;
    let number = (needed.number.first().copied().unwrap_or(0), needed.number.get(1).copied().unwrap_or(0));
    if number <= (major, minor) {
        return None;
    }
    let mut finding = Finding::new(
        Code::GlibcTooNew,
        path.as_str(),
        format!("`{path}` of {owner} needs {} (glibc {}.{}), but {has}", needed.text, number.0, number.1),
    );
    if let Some(symbol) = &needed.symbol {
        finding = finding
            .detail(format!("the symbol `{symbol}` of {} is wanted at {}", needed.library, needed.text));
    }
    let newer: Vec<&str> = runtimes()
        .iter()
        .filter(|r| r.system.glibc >= number && r.python.is_some() == target.runtime.python.is_some())
        .map(|r| r.name.as_str())
        .collect();
    let build = format!("build it in a base with glibc {major}.{minor} or older");
    finding = finding.remedy(way(
        owner,
        |_| {
            format!(
                "lock a version of {owner} that has a wheel for glibc {major}.{minor} or older (manylinux_{major}_{minor} or lower)"
            )
        },
        build.as_str(),
    ));
    Some(if newer.is_empty() {
        let none = format!("no runtime that kiln knows has glibc {}.{}", number.0, number.1);
        match finding.remedy.contains(&build) {
            true => finding.detail(none),
            false => finding.remedy(format!("or {build}: {none}")),
        }
    } else {
        finding.remedy(format!("or target a runtime that has it: {}", newer.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::shared_object;
    use crate::inspect_elf;

    fn check(path: &str, machine: u16, library: &str, version: &str, runtime: &str) -> Vec<Finding> {
        let facts = inspect_elf(&shared_object(machine, library, version)).unwrap().unwrap();
        let runtime = Runtime::named(runtime).unwrap();
        let target = BinaryTarget { runtime, architecture: Architecture::Amd64, python: runtime.python };
        check_binary(&TreePath::new(path).unwrap(), "sample 1.0", &facts, &target)
    }

    fn codes(findings: &[Finding]) -> Vec<Code> {
        findings.iter().map(|f| f.code).collect()
    }

    #[test]
    fn a_file_for_the_target_gives_no_finding() {
        for name in ["m.so", "m.abi3.so", "m.cpython-313-x86_64-linux-gnu.so", "libx-1a2b.so.5.0.0", "a.b.so"]
        {
            let findings = check(&format!("pkg/{name}"), 62, "libc.so.6", "GLIBC_2.34", "python3.13");
            assert_eq!(findings, [], "{name}");
        }
    }

    #[test]
    fn another_machine_is_the_only_finding() {
        let findings =
            check("p/m.cpython-312-aarch64-linux-gnu.so", 183, "libc.so.6", "GLIBC_2.39", "python3.13");
        assert_eq!(codes(&findings), [Code::WrongMachine]);
        assert!(findings[0].cause.contains("aarch64") && findings[0].cause.contains("x86_64"));
    }

    #[test]
    fn another_python_is_named() {
        for (name, words) in [
            ("m.cpython-312-x86_64-linux-gnu.so", "Python 3.12"),
            ("m.cpython-313t-x86_64-linux-gnu.so", "free-threaded"),
            ("m.cpython-313-x86_64-linux-musl.so", "linux-musl"),
            ("m.pypy310-pp73-x86_64-linux-gnu.so", "PyPy"),
        ] {
            let findings = check(name, 62, "libc.so.6", "GLIBC_2.17", "python3.13");
            assert_eq!(codes(&findings), [Code::WrongPythonAbi], "{name}");
            assert!(findings[0].cause.contains(words), "{}", findings[0].cause);
        }
    }

    #[test]
    fn a_newer_glibc_names_file_symbol_version_runtime_and_system() {
        let findings = check("pkg/_native.abi3.so", 62, "libc.so.6", "GLIBC_2.28", "python3.11");
        assert_eq!(codes(&findings), [Code::GlibcTooNew]);
        let finding = &findings[0];
        for words in
            ["pkg/_native.abi3.so", "sample 1.0", "GLIBC_2.28", "python3.11", "Amazon Linux 2", "2.26"]
        {
            assert!(finding.cause.contains(words), "{words}: {}", finding.cause);
        }
        assert!(finding.detail[0].contains("sample_call"));
        assert!(finding.remedy[1].contains("python3.13"));
    }

    /// The application's own files have no wheel to lock.
    #[test]
    fn what_the_application_has_itself_is_built_and_not_locked() {
        let runtime = Runtime::named("python3.11").unwrap();
        let target = BinaryTarget { runtime, architecture: Architecture::Amd64, python: runtime.python };
        for (name, machine, library, version) in [
            ("m.so", 183, "libc.so.6", "GLIBC_2.17"),
            ("m.cpython-312-x86_64-linux-gnu.so", 62, "libc.so.6", "GLIBC_2.17"),
            ("m.so", 62, "libc.musl-x86_64.so.1", "X_1"),
            ("m.so", 62, "libc.so.6", "GLIBC_2.28"),
            ("m.so", 62, "libc.so.6", "GLIBC_2.99"),
        ] {
            let facts = inspect_elf(&shared_object(machine, library, version)).unwrap().unwrap();
            let of = |owner: &str| check_binary(&TreePath::new(name).unwrap(), owner, &facts, &target);
            let told = of("app")[0].remedy.join("; ");
            assert!(told.contains("build it") && !told.contains("lock a"), "{name}: {told}");
            let told = of("sample 1.0")[0].remedy.join("; ");
            assert!(told.contains("lock a") && told.contains("sample 1.0"), "{name}: {told}");
        }
    }

    #[test]
    fn musl_is_refused() {
        let findings = check("pkg/x.so", 62, "libc.musl-x86_64.so.1", "X_1", "python3.13");
        assert_eq!(codes(&findings), [Code::GlibcTooNew]);
    }
}
