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

fn engine_text(text: &str, more: &str) -> Vec<String> {
    let found = parse(text, more).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}"));
    found.for_engine(|base| format!("<{base}>"))
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
        [
            "ARG FLAVOUR=python",
            "ARG TAG",
            "FROM <python-3.13> AS build",
            "RUN --mount=type=bind,from=<tools>,target=/t make     && true",
            "FROM build AS middle",
            "COPY --from=<alpine-3-a1a1a1a1a1a1> /bin/sh /bin/",
            "COPY --from=build /a /b",
            "FROM <tools>",
            "COPY --from=build . .",
            "COPY --from=middle . .",
        ]
    );
    assert_eq!(found.lines, [2, 3, 4, 5, 7, 8, 9, 10, 11, 12], "where each begins in the file");
    // What comes after the wanted stage is not sent.
    let middle = parse(&text, &format!("target = \"MIDDLE\"\n{more}")).unwrap();
    assert_eq!(middle.for_engine(|base| format!("<{base}>")).len(), 7);
    // The stage that is wanted decides the base, through the stages that it stands on.
    let target = |name: &str| parse(&text, &format!("target = \"{name}\"\n{more}")).unwrap().base;
    assert_eq!(target("middle").as_str(), "python-3.13");
    let nothing = parse("FROM scratch\nCOPY a /a\n", "").unwrap();
    assert_eq!((nothing.base.as_str(), nothing.bases.len()), ("scratch", 0));
    assert_eq!(engine_text("FROM scratch\n", ""), ["FROM scratch"]);
}

#[test]
fn what_is_taken_of_the_context_is_known() {
    let text = "FROM localhost/kiln/tools AS build
COPY [\"a file\", \"$WHAT/b\", \"/x/\"]
ADD c*/ <<EOF /x/
EOF
RUN --mount=target=/all --mount=type=tmpfs,target=/tmp --mount=from=localhost/kiln/tools,target=/t true
RUN --mount=type=bind,src=d,target=/d true
COPY --from=localhost/kiln/tools /no /no
FROM build
COPY later /later
";
    let taken = |more: &str| {
        let found = parse(text, more).unwrap().taken;
        found.into_iter().filter(|path| !path.starts_with(".kiln-")).collect::<Vec<_>>()
    };
    assert_eq!(taken("target = \"build\"\n"), ["", "$WHAT/b", "a file", "c*/", "d"]);
    assert!(taken("").contains(&"later".to_owned()));
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
        (
            format!("{base}ONBUILD ADD https://example.org/x /x\n"),
            "",
            "Dockerfile:2: `ONBUILD` is for images",
        ),
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

/// What is written of one instruction, after FROM.
fn written(instruction: &str) -> String {
    let lines = engine_text(&format!("FROM localhost/kiln/tools\n{instruction}\n"), "");
    assert_eq!(lines[0], "FROM <tools>");
    lines[1..].join("|")
}

#[test]
fn instructions_are_written_anew_in_one_line_each() {
    for (text, expected) in [
        ("run  true", "RUN true"),
        ("RUN a \\\n  b", "RUN a   b"),
        ("RUN a \\  \n\n  # a comment\n# another\n\n  b", "RUN a   b"),
        ("RUN a && \\\r\n    b\r", "RUN a &&     b"),
        ("RUN a\\\nb", "RUN ab"),
        ("RU\\\nN true", "RUN true"),
        ("RUN true \\\n", "RUN true"),
        ("RUN true \\\n# the end", "RUN true"),
        ("  # syntax=x\n#escape=`\nRUN true", "RUN true"),
        ("RUN [ \"a\",\\\n \"b\\u00a0c\" ]", "RUN [\"a\",\"b\\u00a0c\"]"),
        ("RUN [ -f /x ] && true", "RUN [ -f /x ] && true"),
        ("RUN [ \"$x\" = y ]", "RUN [ \"$x\" = y ]"),
        ("RUN [[ -f /x ]]", "RUN [[ -f /x ]]"),
        ("RUN --security=sandbox --network=none true", "RUN --network=none true"),
        ("COPY a\tb /x/", "COPY a b /x/"),
        ("COPY [\"a b\", \"/x\"]", "COPY [\"a b\",\"/x\"]"),
        ("COPY [a-z] /x", "COPY [\"[a-z]\",\"/x\"]"),
        ("COPY \"a\" /x", "COPY [\"\\\"a\\\"\",\"/x\"]"),
        ("COPY --chown=$U:1 --link a /x", "COPY --chown=$U:1 --link a /x"),
        ("ADD a.tar /x", "ADD a.tar /x"),
        ("env A=b \\\n C=\"d e\"", "ENV A=b  C=\"d e\""),
        ("HEALTHCHECK --interval=1s CMD [\"a\", \"b\"]", "HEALTHCHECK --interval=1s CMD [\"a\",\"b\"]"),
        ("HEALTHCHECK none", "HEALTHCHECK none"),
        ("VOLUME /a /b", "VOLUME /a /b"),
        ("VOLUME [\"/a\"]", "VOLUME [\"/a\"]"),
        ("LABEL a=\"b # c\"", "LABEL a=\"b # c\""),
        (
            "SHELL [\"/bin/bash\", \"-c\"]\nRUN <<EOF\na\nEOF",
            "SHELL [\"/bin/bash\",\"-c\"]|RUN [\"/bin/bash\",\"-c\",\"a\\n\"]",
        ),
        (
            "RUN <<EOF\na \\\n# b\nFROM evil\nEOF\nRUN c",
            "RUN [\"/bin/sh\",\"-c\",\"a \\\\\\n# b\\nFROM evil\\n\"]|RUN c",
        ),
        ("RUN <<-EOF\n\ta\n\tEOF", "RUN [\"/bin/sh\",\"-c\",\"a\\n\"]"),
        (
            "RUN python3 <<'EOF' > /x\nprint(1)\nEOF",
            "RUN [\"/bin/sh\",\"-c\",\"python3 \\u003c\\u003c'EOF' > /x\\nprint(1)\\nEOF\"]",
        ),
        (
            "RUN cat <<A <<B\na\nA\nb\nB",
            "RUN [\"/bin/sh\",\"-c\",\"cat \\u003c\\u003cA \\u003c\\u003cB\\na\\nA\\nb\\nB\"]",
        ),
        ("RUN echo $((1<<2))", "RUN [\"/bin/sh\",\"-c\",\"echo $((1\\u003c\\u003c2))\"]"),
        ("RUN cat <<<x", "RUN [\"/bin/sh\",\"-c\",\"cat \\u003c\\u003c<x\"]"),
        ("RUN [\"a\", \"1 << 2\"]", "RUN [\"a\",\"1 \\u003c\\u003c 2\"]"),
    ] {
        assert_eq!(written(text), expected, "{text:?}");
    }
    let heredocs =
        "FROM localhost/kiln/tools\nCOPY --chmod=755 <<a.txt <<'b' /x/\none\na.txt\n$two\nb\nRUN true\n";
    let found = parse(heredocs, "").unwrap();
    let path = |name: &str| found.files.keys().find(|path| path.ends_with(name)).unwrap();
    let (one, two) = (path(".heredoc/a.txt"), path(".heredoc/b"));
    assert_eq!((&*found.files[one], &*found.files[two]), ("one\n", "$two\n"));
    let lines = found.for_engine(|base| format!("<{base}>"));
    assert_eq!(lines[1..], [format!("COPY --chmod=755 {one} {two} /x/"), "RUN true".to_owned()]);
    let script = parse("FROM localhost/kiln/tools AS a\nFROM a\nRUN <<EOF\ntrue\nEOF\n", "").unwrap();
    assert_eq!(script.default_shell.iter().map(BaseName::as_str).collect::<Vec<_>>(), ["tools"]);
}

#[test]
fn a_mark_of_byte_order_moves_nothing() {
    let text = "\u{feff}# syntax=registry.example.org/frontend:1\nFROM localhost/kiln/tools\nFROM alpine:3\n";
    let problems = parse(text, "").unwrap_err();
    assert!(problems[0].starts_with("manifests/app/Dockerfile:3: `alpine:3` is not pinned"), "{problems:?}");
    let text = text.replace("FROM alpine:3\n", "");
    let found = parse(&text, "").unwrap();
    assert_eq!(found.syntax.as_deref(), Some("registry.example.org/frontend:1"));
    assert_eq!(found.for_engine(|base| format!("<{base}>")), ["FROM <tools>"]);
}

#[test]
fn text_that_builders_read_differently_is_refused_at_its_line() {
    for (text, why) in [
        ("RUN true \\\\\nFROM evil", "Dockerfile:2: it ends in two backslashes"),
        ("RUN true \\\\ \t\nFROM evil", "Dockerfile:2: it ends in two backslashes"),
        ("RUN true \\\\\\\nFROM evil", "Dockerfile:2: it ends in two backslashes"),
        ("RUN true \\ \\\n", "Dockerfile:2: it ends in a backslash, and nothing follows"),
        (
            "RUN <<\"LABEL x=1\"\nFROM evil\nLABEL x=1",
            "Dockerfile:2: `<<\"LABEL x=1\"` opens a here-document",
        ),
        ("RUN cat <<\"LABEL x=1\"\nFROM evil\nLABEL x=1", "opens a here-document whose word is not read"),
        ("RUN cat <<EOF>/x\na\nEOF", "opens a here-document whose word is not read"),
        ("RUN cat <<EOF\na", "Dockerfile:2: the here-document `EOF` does not end"),
        ("RUN echo it's <<EOF\na\nEOF", "a quote that does not end"),
        ("RUN <<EOF\n#!/bin/x\nEOF", "a program of its own"),
        ("RUN <<EOF\r\na\r\nEOF\r", "carriage returns"),
        ("COPY <<EOF /x\n$HOME\nEOF", "builders replace variables in the here-document `EOF`"),
        ("COPY a<<b /x", "which begins a here-document to one builder"),
        ("COPY [\"<<EOF\", \"/x\"]", "`<<EOF` is no here-document"),
        ("ENV A=<<EOF", "begins a here-document to one builder"),
        ("LABEL a=b <<EOF\nFROM evil\nEOF", "begins a here-document to one builder"),
        ("CMD cat <<EOF", "begins a here-document to one builder"),
        ("RUN a\u{a0}b", "Dockerfile:2: U+00A0 is white space"),
        ("\u{2003}FROM evil", "Dockerfile:2: U+2003 is white space"),
        ("RUN a\u{85}FROM evil", "U+0085 is white space"),
        ("RUN a\rFROM evil", "U+000D is white space"),
        ("RUN a\0b", "U+0000 is white space"),
        ("# a\0b", "U+0000 is white space"),
        ("RUN a\u{b}b", "U+000B is white space"),
        ("\u{feff}FROM evil", "is no instruction"),
        ("FROM localhost/kiln/tools AS \"a\"", "is no name of a stage"),
        ("FROM localhost/kiln/tools AS $A", "is no name of a stage"),
        ("FROM localhost/kiln/tools AS 0", "is no name of a stage"),
        ("FROM localhost/kiln/tools AS scratch", "a stage is called `scratch`"),
        ("FROM localhost/kiln/tools AS a\nFROM localhost/kiln/tools AS A", "two stages are called `a`"),
        ("FROM \"localhost/kiln/tools\"", "has a quote or a backslash"),
        ("FROM localhost/kiln/tools a", "`FROM` takes an image, and `AS`"),
        (
            "FROM localhost/kiln/tools AS me\nCOPY --from=me /a /b",
            "`me` is no stage that ends before this one",
        ),
        ("COPY --from=0 /a /b", "`0` is no stage that ends before this one"),
        ("COPY --from=+0 /a /b", "`+0` is not pinned"),
        ("COPY --from=\"a\" /a /b", "depends on a variable or a quote"),
        ("COPY --from=localhost/kiln/tools --from=evil /a /b", "`--from` is there twice"),
        ("COPY --FROM=evil /a /b", "is not known here"),
        ("COPY -- a /b", "`--` is not known here"),
        ("CMD --foo", "`--foo` is not known here"),
        ("RUN --device=x true", "`--device=x` is not known here"),
        ("RUN --mount=from=localhost/kiln/tools,from=evil,target=/x true", "has `from` twice"),
        ("RUN --mount=type=bind,TYPE=cache,target=/x true", "what an earlier build left"),
        ("RUN --mount=type=bind,target=/x,new=1 true", "has `new`, which is not known"),
        ("RUN --mount=type=tmpfs,from=evil,target=/x true", "`evil` is not pinned"),
        ("COPY [\"a\", \"/x\"] evil", "builders read that as a list or as words"),
        ("RUN [\"a\"] && b", "builders read that as a list or as words"),
        ("RUN [\"a\", 1]", "builders read that as a list or as words"),
        ("RUN [\"\\ud800\"]", "builders read that as a list or as words"),
        ("RUN []", "builders read that as a list or as words"),
        ("COPY a", "takes what is copied, and where to"),
        ("SHELL /bin/bash -c", "takes a list in JSON alone"),
        ("WORKDIR", "`WORKDIR` says nothing"),
        ("ONBUILD RUN true", "`ONBUILD` is for images"),
        ("ADD git@example.org:a/b.git /x", "fetches what no lock knows"),
        ("ADD user@example.org:a/b.git /x", "fetches what no lock knows"),
        ("ADD ssh://example.org/b /x", "fetches what no lock knows"),
        ("ADD [\"a\", \"https://example.org/x\", \"/x/\"]", "fetches what no lock knows"),
        ("INCLUDE evil", "`INCLUDE` is no instruction"),
    ] {
        let problems = parse(&format!("FROM localhost/kiln/tools\n{text}\n"), "").unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(why)), "{text:?}: {problems:?} says {why}");
    }
    for (text, why) in [
        ("# escape=`\nFROM scratch\n", "Dockerfile:1: `escape=`` makes another character"),
        ("# foo=bar\n# Escape = `\nFROM scratch\n", "Dockerfile:2: `escape=`` makes another character"),
        ("# only comments\n", "it has no FROM"),
        ("", "it has no FROM"),
        ("LABEL a=b\nFROM scratch\n", "`LABEL` stands before the first FROM"),
    ] {
        let problems = parse(text, "").unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(why)), "{text:?}: {problems:?} says {why}");
    }
    let odd = "# foo=bar\n# syntax=registry.example.org/evil:1\nFROM scratch\nLABEL a=b\n";
    assert_eq!(engine_text(odd, ""), ["FROM scratch", "LABEL a=b"]);
}

#[test]
fn what_is_endless_ends() {
    let nested = format!("ARG A={}{}\nFROM $A\n", "${X:-".repeat(100_000), "}".repeat(100_000));
    assert!(parse(&nested, "").unwrap_err()[0].contains("where variables are replaced"));
    let nested = format!("ARG A={}{}\nFROM $A\n", "${X:-".repeat(40), "}".repeat(40));
    assert!(parse(&nested, "").unwrap_err()[0].contains("more than 16 deep"));
    let doubled: String = (1..64).map(|n| format!("ARG A{n}=$A{}$A{}\n", n - 1, n - 1)).collect();
    assert!(parse(&format!("ARG A0=aa\n{doubled}FROM $A63\n"), "").is_err());
    assert!(parse(&"RUN true \\\n".repeat(100_000), "").unwrap_err()[0].contains("at most"));
    let long = format!("FROM scratch\nLABEL a={}\n", "x".repeat(70_000));
    assert!(parse(&long, "").unwrap_err()[0].contains("bytes in one line"));
}
