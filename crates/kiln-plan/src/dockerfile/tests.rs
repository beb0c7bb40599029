use super::own_base::own_base;
use super::*;
use crate::base::{BaseKind, RegistryDefinition};
use crate::manifest::Manifest;
use kiln_record::Digest;

fn section(toml: &str) -> DockerfileSection {
    let text = format!("kind = \"image\"\ntarget.architecture = \"x86_64\"\n{toml}");
    let name = "app".parse().unwrap();
    let manifest = Manifest::parse(name, "manifests/app.toml", &text.into(), &[]).unwrap();
    manifest.dockerfile().unwrap().clone()
}

fn bases() -> BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)> {
    let registry =
        RegistryDefinition { reference: "registry.example.org/python:3.13".to_owned(), mirror: None };
    let own = |name: &str, kind| {
        let (definition, lock) = own_base("images/x.toml", name, kind, Digest::of(b"x"), platform());
        (definition.name.clone(), (definition, Some(lock)))
    };
    BTreeMap::from([
        own("python-3.13", BaseKind::Registry(registry)),
        own(
            "tools",
            BaseKind::Registry(RegistryDefinition {
                reference: "registry.example.org/tools:1".to_owned(),
                mirror: None,
            }),
        ),
    ])
}

fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn parse(text: &str, more: &str) -> Result<Dockerfile, Vec<String>> {
    let section = section(&format!("[dockerfile]\npath = \"app/Dockerfile\"\n{more}"));
    let text: Arc<str> = text.into();
    Dockerfile::parse("manifests/app/Dockerfile", &text, &section, platform(), &mut bases())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn engine_text(text: &str, more: &str) -> String {
    parse(text, more).unwrap().for_engine(|base| format!("<{base}>"))
}

#[test]
fn every_image_is_a_base_and_goes_to_the_engine_under_its_name() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let text = format!(
        "# syntax=registry.example.org/frontend:1
ARG FLAVOUR=python
ARG TAG
FROM --platform=$BUILDPLATFORM registry.example.org/$FLAVOUR:${{TAG:-3.13}} AS Build
RUN --mount=type=bind,from=localhost/kiln/tools,target=/t make \\
    && true
FROM build AS middle
COPY --from=registry.example.org/alpine:3@{digest} /bin/sh /bin/
COPY --from=0 /a /b
FROM alpine:3
COPY --from=build . .
COPY --from=Middle . .
"
    );
    let more = "bases = { \"alpine:3\" = \"tools\" }\n";
    let found = parse(&text, more).unwrap();
    assert_eq!(found.base.as_str(), "tools");
    assert_eq!(found.syntax.as_deref(), Some("registry.example.org/frontend:1"));
    let names: Vec<&str> = found.bases.iter().map(BaseName::as_str).collect();
    assert_eq!(names, ["alpine-3-a1a1a1a1a1a1", "python-3.13", "tools"]);
    assert_eq!(
        found.for_engine(|base| format!("<{base}>")),
        "ARG FLAVOUR=python
ARG TAG
FROM  <python-3.13> AS Build
RUN --mount=type=bind,from=<tools>,target=/t make \\
    && true
FROM build AS middle
COPY --from=<alpine-3-a1a1a1a1a1a1> /bin/sh /bin/
COPY --from=0 /a /b
FROM <tools>
COPY --from=build . .
COPY --from=Middle . .
"
    );
    // The stage that is wanted decides the base, through the stages that it stands on.
    let target = |name: &str| parse(&text, &format!("target = \"{name}\"\n{more}")).unwrap().base;
    assert_eq!(target("middle").as_str(), "python-3.13");
    let nothing = parse("FROM scratch\nCOPY a /a\n", "").unwrap();
    assert_eq!((nothing.base.as_str(), nothing.bases.len()), ("scratch", 0));
    assert_eq!(engine_text("FROM scratch\n", ""), "FROM scratch\n");
}

#[test]
fn what_is_not_pinned_or_reaches_out_is_refused_at_its_line() {
    let base = "FROM localhost/kiln/tools\n";
    for (text, more, why) in [
        ("FROM alpine:3\n".to_owned(), "", "Dockerfile:1: `alpine:3` is not pinned: a tag can move"),
        (format!("{base}COPY --from=busybox:1 /a /b\n"), "", "Dockerfile:2: `busybox:1` is not pinned"),
        (format!("{base}RUN --mount=from=busybox,target=/b true\n"), "", "`busybox` is not pinned"),
        (format!("FROM alpine@sha256:{}\n", "a".repeat(64)), "", "does not say which registry"),
        (
            "FROM registry.example.org/a@sha256:12\n".to_owned(),
            "",
            "Dockerfile:1: `registry.example.org/a@sha256:12`",
        ),
        ("FROM localhost/kiln/other\n".to_owned(), "", "there is no base `other`"),
        ("FROM alpine\n".to_owned(), "bases = { alpine = \"gone\" }\n", "there is no base `gone`"),
        ("ARG A\nFROM $A\n".to_owned(), "", "Dockerfile:2: the argument `A` has no value"),
        ("FROM $B\n".to_owned(), "", "is not declared before the first FROM"),
        (format!("{base}COPY --from=$X /a /b\n"), "", "depends on a variable"),
        (
            "FROM --platform=linux/arm64 localhost/kiln/tools\n".to_owned(),
            "",
            "is another platform than the target's",
        ),
        (
            format!("{base}ADD https://example.org/x /x\n"),
            "",
            "Dockerfile:2: `ADD https://example.org/x` fetches",
        ),
        (format!("{base}ONBUILD ADD https://example.org/x /x\n"), "", "fetches what no lock knows"),
        (format!("{base}RUN --mount=type=cache,target=/c true\n"), "", "what an earlier build left"),
        (format!("{base}RUN --mount=FROM=busybox,target=/b true\n"), "", "`busybox` is not pinned"),
        (format!("{base}RUN --mount=TYPE=Cache,target=/c true\n"), "", "what an earlier build left"),
        (format!("{base}RUN --mount=\"type=cache\",target=/c true\n"), "", "is not read here"),
        (format!("{base}ARG U\nADD $U /x\n"), "", "depends on a variable"),
        (
            format!("{base}ARG BUILDKIT_SYNTAX\n"),
            "args = { BUILDKIT_SYNTAX = \"x\" }\n",
            "tells the builder what to run",
        ),
        (format!("{base}RUN --mount=type=secret,id=a true\n"), "", "in no lock"),
        (format!("{base}RUN --network=host true\n"), "", "asks for a network"),
        (format!("{base}RUN --security=insecure true\n"), "network = true\n", "the host's rights"),
        (base.to_owned(), "target = \"x\"\n", "it has no stage `x`"),
        (base.to_owned(), "args = { A = \"1\" }\n", "it has no `ARG A`"),
        ("RUN true\n".to_owned(), "", "it is not a Dockerfile"),
        ("FROM localhost/kiln/tools AS a\nFROM a AS a\n".to_owned(), "", "it is not a Dockerfile"),
    ] {
        let problems = parse(&text, more).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(why)), "{text}: {problems:?} says {why}");
    }
    assert!(parse(&format!("{base}ADD https://example.org/x /x\n"), "network = true\n").is_ok());
    assert!(parse(&format!("{base}ARG A\n"), "args = { A = \"1\", HTTP_PROXY = \"\" }\n").is_ok());
}
