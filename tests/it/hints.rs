//! Advice is checked against the facts: each row has a world in which something is advised, and one in which that is done
//! already. There the advice does not appear again.
//!
//! Not here, because a build cannot follow them and still be told: what says to correct code, to build or publish a file again,
//! to use another release, machine, base or mirror, or to wait; and errors that end a run at a line of a file, which are gone with the line. Those of Python's pure parts are rows of
//! their own tests: `kiln-python/guest/imports/surroundings.rs`, `kiln-plan/base/known.rs`, `kiln-audit/binary.rs`. Every place that
//! advises something is in the list of `hint_places.rs`.

use crate::harness::{LocalIndex, Sandbox, WheelFile, poetry_lock, wheel};

const CODE: &str = "def handler(event, context):\n    return None\n";

/// One way out that is advised.
struct Row {
    name: &'static str,
    /// The manifest, where it is no function's as `Sandbox::function` writes it.
    whole: &'static str,
    /// The code of the function, and the lock beside it, if there is one.
    code: &'static str,
    lock: fn(&[WheelFile]) -> String,
    /// What the manifest has besides, at its top and at its end.
    manifest: (&'static str, &'static str),
    /// Further files of the source folder.
    files: &'static [(&'static str, &'static str)],
    /// What is advised.
    advice: &'static str,
    /// What is done about it: what stands in the manifest instead or besides, and a further file.
    done: (&'static str, &'static str),
    done_files: &'static [(&'static str, &'static str)],
}

fn none(_: &[WheelFile]) -> String {
    String::new()
}

fn pad(wheels: &[WheelFile]) -> String {
    wheels[0].requirement("")
}

const PLAIN: Row = Row {
    name: "",
    whole: "",
    code: CODE,
    lock: none,
    manifest: ("", ""),
    files: &[],
    advice: "",
    done: ("", ""),
    done_files: &[],
};

const ROWS: &[Row] = &[
    // A module that is nowhere, and then a distribution that has it: it is not to be added again.
    Row {
        name: "add",
        code: "import pad.extra\n\ndef handler(event, context):\n    return None\n",
        advice: "add the one that holds `pad` to the project's dependencies",
        done_files: &[("requirements.txt", "pad")],
        done: ("", "\n[python]\nlock = \"add/requirements.txt\"\n"),
        ..PLAIN
    },
    // What is left out by the manifest is not to be locked, but to be taken back in; and then it is there.
    Row {
        name: "exclude",
        code: "import pad\n\ndef handler(event, context):\n    return None\n",
        lock: pad,
        manifest: ("", "exclude = [\"pad\"]\n"),
        advice: "take pad out of `exclude` under `[python]`",
        done: ("exclude = [\"pad\"]\n", ""),
        ..PLAIN
    },
    Row {
        name: "layer",
        code: "import nowhere\n\ndef handler(event, context):\n    return None\n",
        advice: "if a layer has it, name the layer in `layers`",
        done: ("", "@layers = [\"tools\"]\n"),
        ..PLAIN
    },
    Row {
        name: "handler",
        code: "def handle(event, context):\n    return None\n",
        advice: "set `handler = \"app.handle\"`",
        done: ("handler = \"app.handler\"", "@handler = \"app.handle\"\n"),
        ..PLAIN
    },
    Row {
        name: "env",
        code: "import os\nTABLE = os.environ[\"TABLE\"]\n\ndef handler(event, context):\n    return None\n",
        advice: "env = { TABLE = \"…\" }` under `[check]`",
        done: ("", "\n[check]\nenv = { TABLE = \"t\" }\n"),
        ..PLAIN
    },
    Row {
        name: "tests",
        files: &[("tests/test_app.py", "import pytest\n")],
        advice: "add \"tests/**\" to `exclude` under `[source]`",
        done: ("path = \"tests/src\"\n", "path = \"tests/src\"\nexclude = [\"tests/**\"]\n"),
        ..PLAIN
    },
    Row {
        name: "skip",
        files: &[("tests/test_app.py", "import pytest\n")],
        advice: "name them in `skip` under `[check]`",
        done: ("", "\n[check]\nskip = [\"tests.*\"]\n"),
        ..PLAIN
    },
    Row {
        name: "never",
        files: &[("tool.py", "import os\nos._exit(3)\n")],
        advice: "name it: `skip = [\"tool\"]` under `[check]`",
        done: ("", "\n[check]\nskip = [\"tool\"]\n"),
        ..PLAIN
    },
    Row {
        name: "beside",
        code: "import shared\n\ndef handler(event, context):\n    return None\n",
        files: &[("../shared/__init__.py", "")],
        advice: "or take the folder manifests/beside/shared, which lies beside",
        done: (
            "[source]\npath = \"beside/src\"\n",
            "[[source]]\npath = \"beside/src\"\n\n[[source]]\npath = \"beside/shared\"\ninto = \"shared\"\n",
        ),
        ..PLAIN
    },
    Row {
        name: "level",
        code: "import boto3\n\ndef handler(event, context):\n    return None\n",
        advice: "provided-by-runtime = \"note\" under [policy.levels]",
        done: ("", "\n[policy.levels]\nprovided-by-runtime = \"warn\"\n"),
        ..PLAIN
    },
    Row {
        name: "group",
        lock: |_| String::new(),
        files: &[("../pyproject.toml", PROJECT)],
        manifest: ("", "\n[python]\nlock = \"group/poetry.lock\"\n"),
        advice: "choose groups with `groups` under [python]",
        done: ("lock = \"group/poetry.lock\"\n", "lock = \"group/poetry.lock\"\ngroups = [\"dev\"]\n"),
        ..PLAIN
    },
    Row {
        name: "patch",
        lock: |wheels| wheels[0].requirement("python_full_version < \"3.13.20\""),
        advice: "state it in kiln.toml: [[runtime]]",
        ..PLAIN
    },
    // With the variable, it is another key that is missing.
    Row {
        name: "environ",
        code: "import os\n\ndef handler(event, context):\n    return {}[os.environ['STAGE']]\n",
        files: &[("../event.json", "{}")],
        manifest: ("", "\n[[smoke]]\nname = \"call\"\nevent = \"environ/event.json\"\n"),
        advice: "give the checks a value under `[check] env`",
        done: ("", "\n[check]\nenv = { STAGE = \"test\" }\n"),
        ..PLAIN
    },
    Row {
        name: "ship",
        code: "import boto3\n\ndef handler(event, context):\n    return boto3.client('s3')\n",
        files: &[("../event.json", "{}")],
        manifest: ("", "\n[[smoke]]\nname = \"call\"\nevent = \"ship/event.json\"\n"),
        advice: "or ship it, which AWS recommends: add `boto3`",
        done_files: &[("boto3/__init__.py", "def client(name):\n    raise RuntimeError(name)\n")],
        ..PLAIN
    },
    Row {
        name: "network",
        code: "import socket\n\ndef handler(event, context):\n    if event:\n        \
               socket.create_connection(('192.0.2.1', 443), timeout=2)\n",
        files: &[("../event.json", "1")],
        manifest: ("", "\n[[smoke]]\nname = \"call\"\nevent = \"network/event.json\"\n"),
        advice: "use an event that the function answers without it",
        done_files: &[("../event.json", "0")],
        ..PLAIN
    },
    Row {
        name: "error-type",
        code: "import os\n\ndef handler(event, context):\n    os._exit(3)\n",
        files: &[("../event.json", "{}")],
        manifest: (
            "",
            "\n[[smoke]]\nname = \"call\"\nevent = \"error-type/event.json\"\nstatus = \"error\"\n",
        ),
        advice: "if this is meant, say so: error-type = \"Runtime.ExitError\"",
        done: ("status = \"error\"\n", "status = \"error\"\nerror-type = \"Runtime.ExitError\"\n"),
        ..PLAIN
    },
    Row {
        name: "status",
        files: &[("../event.json", "{}")],
        manifest: ("", "\n[[smoke]]\nname = \"call\"\nevent = \"status/event.json\"\nstatus = \"error\"\n"),
        advice: "or the `status` of the event",
        done: ("status = \"error\"\n", ""),
        ..PLAIN
    },
    Row {
        name: "expect",
        files: &[("../event.json", "{}"), ("../expected.json", "1")],
        manifest: (
            "",
            "\n[[smoke]]\nname = \"call\"\nevent = \"expect/event.json\"\nexpect = \"expect/expected.json\"\n",
        ),
        advice: "or manifests/expect/expected.json if this is right",
        done_files: &[("../expected.json", "null")],
        ..PLAIN
    },
    Row {
        name: "health",
        whole: "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \
                \"health/src\"\n\n[image]\nentrypoint = [\"/usr/bin/python3.13\", \"server.py\"]\nhealth-check = { command = \
                [\"/usr/bin/python3.13\", \"-c\", \"open('/tmp/ready')\"], interval = \"1 s\", timeout = \"5 s\" }\n",
        files: &[(
            "server.py",
            "import os, time\n\nif __name__ == '__main__':\n    open('/tmp/' + os.environ['READY'], 'w').close()\n    \
             time.sleep(600)\n",
        )],
        advice: "give it what it needs under [image] (`environment`, `volumes`) or [check] (`env`)",
        done: ("", "\n[check]\nenv = { READY = \"ready\" }\n"),
        ..PLAIN
    },
    // It declares the variable, and is another each time all the same.
    Row {
        name: "epoch",
        whole: "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \"epoch/Dockerfile\"\n",
        files: &[(
            "../Dockerfile",
            "FROM localhost/kiln/python-3.13\nRUN [\"/usr/bin/python3.13\", \"-c\", \"import os; open('/token', \
             'w').write(os.urandom(8).hex())\"]\n",
        )],
        advice: "SOURCE_DATE_EPOCH (declare it with ARG)",
        done_files: &[(
            "../Dockerfile",
            "FROM localhost/kiln/python-3.13\nARG SOURCE_DATE_EPOCH\nRUN [\"/usr/bin/python3.13\", \"-c\", \"import os; \
             open('/token', 'w').write(os.urandom(8).hex())\"]\n",
        )],
        ..PLAIN
    },
    // It has the wheels, and its network all the same.
    Row {
        name: "wheels",
        whole: "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \
                \"wheels/Dockerfile\"\nnetwork = true\n",
        files: &[("../Dockerfile", "FROM localhost/kiln/python-3.13\nUSER 65534:65534\n")],
        advice: "`wheels` under [dockerfile] gives the locked wheels",
        done: (
            "network = true\n",
            "network = true\nwheels = \"wheels\"\n\n[python]\nlock = \"wheels/requirements.txt\"\n",
        ),
        done_files: &[("requirements.txt", "pad")],
        ..PLAIN
    },
    Row {
        name: "user",
        whole: "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \"user/Dockerfile\"\n",
        files: &[("../Dockerfile", "FROM localhost/kiln/python-3.13\nUSER nosuch\n")],
        advice: "or state it in numbers: USER 65534:65534",
        done_files: &[("../Dockerfile", "FROM localhost/kiln/python-3.13\nUSER 65534:65534\n")],
        ..PLAIN
    },
];

/// The names of the rows, for the list of what advises.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

const PROJECT: &str = "[tool.poetry]\nname = \"app\"\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \
                       \">=3.11\"\n\n[tool.poetry.group.dev.dependencies]\npad = \"^1\"\n";

fn write(sandbox: &Sandbox, row: &Row, wheels: &[WheelFile], files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = match path.strip_prefix("../") {
            Some(path) => format!("manifests/{}/{path}", row.name),
            None if *path == "requirements.txt" => {
                sandbox.write(&format!("manifests/{}/{path}", row.name), wheels[0].requirement(""));
                continue;
            }
            None => format!("manifests/{}/src/{path}", row.name),
        };
        sandbox.write(&path, content);
    }
}

/// What a build of all says of one artifact.
fn told(built: &str, name: &str) -> String {
    let mut mine = false;
    let lines = built.lines().filter(|line| {
        if line.contains('[') && !line.starts_with(' ') {
            mine = line.contains(&format!("] {name}:"));
        }
        mine
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_advised_that_is_done() {
    let wheels = [wheel("pad", "1.0", "py3-none-any", &[], &[("pad.py", b"")])];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.write(
        "manifests/tools.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
         \"x86_64\"\n\n[source]\npath = \"tools\"\n",
    );
    sandbox.write("manifests/tools/toolbox.py", "");
    for row in ROWS {
        if row.whole.is_empty() {
            sandbox.function(row.name, "3.13", row.code, &(row.lock)(&wheels));
        } else {
            sandbox.write(&format!("manifests/{}.toml", row.name), row.whole);
        }
        write(&sandbox, row, &wheels, row.files);
        sandbox.append(&format!("manifests/{}.toml", row.name), row.manifest.1);
    }
    let lock = poetry_lock(PROJECT, &[(&wheels[0], "groups = [\"dev\"]")]);
    sandbox.write("manifests/group/poetry.lock", lock);
    let build = || {
        let built = sandbox.kiln().run(["build", "--all", "--color", "never"]);
        let shown: Vec<String> = ROWS
            .iter()
            .map(|row| {
                let shown = sandbox.kiln().run(["show", row.name, "--color", "never"]);
                format!("{}\n{}", told(&built.stderr, row.name), shown.stdout + &shown.stderr)
            })
            .collect();
        (built, shown)
    };
    let (built, before) = build();
    for (row, said) in ROWS.iter().zip(&before) {
        assert!(
            said.contains(row.advice),
            "{}: {:?} is advised:\n{said}\n{}",
            row.name,
            row.advice,
            built.stderr
        );
    }
    for row in ROWS {
        let path = format!("manifests/{}.toml", row.name);
        let (old, new) = row.done;
        let text = String::from_utf8(sandbox.read(&path)).unwrap();
        let text = if old.is_empty() {
            text
        } else {
            text.replacen(old, if new.starts_with('@') { "" } else { new }, 1)
        };
        // Keys of the top stand before the first table.
        let text = match (new.strip_prefix('@'), old.is_empty()) {
            (Some(top), _) => format!("{top}{text}"),
            (None, true) => text + new,
            (None, false) => text,
        };
        sandbox.write(&path, text);
        write(&sandbox, row, &wheels, row.done_files);
    }
    sandbox.append(
        "kiln.toml",
        "\n[[runtime]]\nname = \"python3.13\"\npython = \"3.13.3\"\nreason = \"our account\"\n",
    );
    let (built, after) = build();
    for (row, said) in ROWS.iter().zip(&after) {
        assert!(
            !said.contains(row.advice),
            "{}: {:?} is done and still advised:\n{said}\n{}",
            row.name,
            row.advice,
            built.stderr
        );
    }
}
