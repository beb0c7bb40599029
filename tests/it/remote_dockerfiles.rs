//! Dockerfiles that are built without a builder: instruction by instruction, each RUN on a server of the Remote Execution API, and
//! held against what an engine makes of them.

use crate::dockerfiles::write_image;
use crate::harness::{Casd, Kiln, Sandbox, published_repository};
use kiln_record::{Digest, exit};
use std::collections::BTreeMap;
use std::path::Path;

const PYTHON: &str = "/usr/bin/python3.13";
const BASE: &str = "localhost/kiln/python-3.13";

fn without_docker(sandbox: &Sandbox, store: &Path, casd: &Casd) -> Kiln {
    sandbox
        .kiln()
        .with_store(store)
        .with_variable("DOCKER_HOST", "unix:///nowhere.sock")
        .with_variable("KILN_EXECUTE", &casd.address())
}

/// An instruction that runs a Python program.
fn run(program: &str) -> String {
    format!("RUN {}\n", serde_json::json!([PYTHON, "-c", program]))
}

/// Every file of `dist/` but those that say how it was checked, by digest.
fn made(sandbox: &Sandbox) -> BTreeMap<String, Digest> {
    let says_how =
        |name: &str| name == "index.json" || name.ends_with("/record.json") || name.ends_with("/SHA256SUMS");
    let files = sandbox.dist().into_iter().filter(|(name, _)| !says_how(name));
    files.map(|(name, content)| (name, Digest::of(&content))).collect()
}

/// All that instructions can say, in stages of which one is not needed.
fn everything(sandbox: &Sandbox) {
    // Engines set no PWD, and this server does.
    let make = "import os\n\
                lines = [f'{k}={v}' for k, v in sorted(os.environ.items()) if k != 'PWD']\n\
                open('env.txt', 'w').write('\\n'.join(lines + [os.getcwd(), str(os.getuid())]))\n\
                os.makedirs('/made/empty')\nos.chmod('/made', 0o750)\nopen('/made/x', 'w').write('x')\n\
                os.chmod('/made/x', 0o4711)\nos.symlink('x', '/made/link')\nos.link('/made/x', '/made/hard')\n\
                os.remove('all/g.txt')\nos.rename('links/l', 'links/renamed')\n";
    let change = "import os, shutil\nos.remove('/etc/mime.types')\n\
                  shutil.rmtree('private')\nos.mkdir('private')\nopen('private/new', 'w').write('n')\n\
                  os.chmod('/etc/passwd', 0o640)\n\
                  open('/etc/passwd', 'a').write('app:x:1000:1001::/home/app:/x\\n')\n";
    let dockerfile = format!(
        "ARG GLOBAL=glob\n\
         FROM {BASE} AS unneeded\n{fails}\
         FROM {BASE} AS made\n\
         ARG GIVEN=none\nARG GLOBAL\nARG EDITION TARGETARCH\n\
         ENV A=$GIVEN B=\"two words\" C='$A' D=${{NOT:-dflt}}-${{EDITION:+yes}}\n\
         ENV LEGACY some $A words\nENV OVER=env\nARG OVER=arg\n\
         WORKDIR /srv/$GIVEN\n\
         COPY --chown=1000:1001 d own/\nCOPY --chmod=600 *.txt private/\nCOPY . all\n\
         COPY l d/in* links/\nCOPY [\"f.txt\", \"with space/\"]\nCOPY none* nothing/\n\
         COPY <<\"EOF\" /written\nline $A\nEOF\n\
         {}{}\
         USER app\nWORKDIR work/deep\nUSER 1000\nWORKDIR by-number\nUSER 0\n\
         COPY --chown=app f.txt /named\nCOPY --chown=7 f.txt /numbered\n\
         FROM made AS child\n{}\
         FROM {BASE} AS below\n\
         COPY --from=child /srv /data\nCOPY --from=made /made/ /copied/\n\
         COPY --from=1 /named /numbered /written /owners/\nCOPY --from=child /inherited /lib/through-link\n\
         COPY --from={BASE} /etc/debian_version /etc/ld.so.conf.d /from-base/\n\
         COPY --from=made /etc/passwd /etc/passwd\n{}\
         LABEL who=\"me $A\" x.y=z\nEXPOSE 80 9000-9001/udp\nVOLUME /vol /vol2\nSTOPSIGNAL SIGINT\n\
         SHELL [\"{PYTHON}\", \"-c\"]\nRUN open('/shell-form', 'w').write('s')\n\
         CMD [\"not used\"]\n\
         FROM below AS wanted\n\
         USER app\nWORKDIR /data/given\nHEALTHCHECK --interval=1m --retries=2 CMD print(1)\n\
         ENTRYPOINT [\"{PYTHON}\", \"-c\", \"import time; time.sleep(60)\"]\n\
         FROM wanted\nRUN [\"/never\"]\n",
        run(make),
        run(change),
        run("import os; open('/inherited', 'w').write(os.environ['GIVEN'] + os.getcwd())"),
        run("import os, zipfile\nos.mkdir('/var/new')\nprint('from the run', sorted(os.listdir('/data')))\n\
             open('/var/new/env', 'w').write(' '.join(sorted(set(os.environ) - {'PWD'})))\n\
             zipfile.ZipFile('/var/new/times.zip', 'w').write('/data/given/all/f.txt')\n",),
        fails = run("raise SystemExit(9)"),
    );
    write_image(
        sandbox,
        "app",
        &dockerfile,
        "target = \"wanted\"\nargs = { GIVEN = \"given\", EDITION = \"team\" }\n",
    );
    sandbox
        .write("manifests/app/d/sub/f", "a")
        .write("manifests/app/f.txt", "b")
        .write("manifests/app/g.txt", "c")
        .write("manifests/app/docs/secret.md", "no")
        .write("manifests/app/docs/read.md", "yes")
        .write("manifests/app/out.log", "x")
        .write("manifests/app/.dockerignore", "docs/*\n!docs/read.md\n*.log\n");
    std::os::unix::fs::symlink("f.txt", sandbox.path("manifests/app/l")).unwrap();
    std::os::unix::fs::symlink("sub/f", sandbox.path("manifests/app/d/inner")).unwrap();
}

#[test]
fn a_dockerfile_comes_to_the_same_bytes_without_a_builder() {
    let casd = Casd::start_executing();
    let (docker, remote) = (Sandbox::new(), Sandbox::new());
    everything(&docker);
    everything(&remote);
    let stores = tempfile::tempdir().unwrap();
    let store = |name: &str| stores.path().join(name);
    docker.kiln().with_store(&store("docker")).run(["build", "app"]).ends_with(exit::SUCCESS);
    let kiln = without_docker(&remote, &store("remote"), &casd);
    let word = format!("app the Dockerfile, by the word of {}", casd.address());
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS).says(&[&word]);
    assert_eq!(made(&remote), made(&docker));
    kiln.run(["show", "app"]).ends_with(exit::SUCCESS).prints(&[
        "confinement",
        "for a Dockerfile, a root with its own owners and rights, whose attributes, pipes and /tmp are kept",
    ]);
    // What was made is remembered as that server's word.
    let again = kiln.run(["build", "app", "--force"]).ends_with(exit::SUCCESS);
    again.says(&[&word]).does_not_say("from the run");
    assert_eq!(made(&remote), made(&docker));
}

#[test]
fn what_is_not_done_by_remote_execution_is_said_with_its_line() {
    let casd = Casd::start_executing();
    let store = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("manifests/app/a", "a");
    let start = format!("FROM {BASE}\n# a comment\n");
    for (rest, more, says) in [
        (
            "ADD a /a\n".to_owned(),
            "",
            &["line 3, `ADD a /a`, may unpack archives", "write COPY", "KILN_EXECUTE=off"][..],
        ),
        ("COPY --link a /a\n".to_owned(), "", &["has `--link`"]),
        ("RUN --mount=type=tmpfs,target=/x true\n".to_owned(), "", &["has no mounts"]),
        (run("pass"), "network = true\n", &["workers have no network", "`network = true`"]),
        ("COPY missing /x\n".to_owned(), "", &["line 3, `COPY missing /x`, finds no `missing`"]),
        ("USER nobody-here\nRUN true\n".to_owned(), "", &["is done as `nobody-here`"]),
        (format!("COPY a /tmp/a\n{}", run("pass")), "", &["line 4", "would not see `/tmp/a`"]),
        (
            run("print('it says why')\nraise SystemExit(3)"),
            "",
            &["manifests/app/Dockerfile:3 of app", "line 3", "ended with exit code 3", "it says why"],
        ),
        ("RUN [\"/missing\"]\n".to_owned(), "", &["there is no such program"]),
        (
            "SHELL [\"/no/sh\", \"-c\"]\nRUN true\n".to_owned(),
            "",
            &["manifests/app/Dockerfile:4 of app", "has no /no/sh, which a RUN in words is given to"],
        ),
        (run("import os\nos.chown('/etc/passwd', 5, 5)"), "", &["ended with exit code 1", "COPY --chown"]),
        (
            format!("COPY --chown=5:5 a /a\n{}", run("open('/a', 'a').write('more')")),
            "",
            &["changed `/a`, which belonged to 5:5"],
        ),
        (
            format!("USER 5:5\n{}", run("open('/etc/new', 'w')")),
            "",
            &["made `/etc/new`, where 5:5 may not write"],
        ),
        (run("import time; time.sleep(60)"), "timeout = \"3 s\"\n", &["was not built within 3 s"]),
    ] {
        let dockerfile = format!("{start}{rest}CMD [\"{PYTHON}\"]\n");
        let more = format!("reproducible = \"assume\"\n{more}");
        write_image(&sandbox, "app", &dockerfile, &more);
        without_docker(&sandbox, store.path(), &casd)
            .run(["build", "app"])
            .ends_with(exit::BUILD_STEP_FAILED)
            .says(says);
        assert!(sandbox.dist().is_empty(), "{rest}");
    }
}

#[test]
fn what_differs_from_run_to_run_is_found_there_as_well() {
    let casd = Casd::start_executing();
    let sandbox = Sandbox::new();
    let dockerfile = format!(
        "FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n",
        run("import os\nopen('/made', 'wb').write(os.urandom(8))")
    );
    write_image(&sandbox, "app", &dockerfile, "");
    let store = tempfile::tempdir().unwrap();
    without_docker(&sandbox, store.path(), &casd)
        .run(["build", "app"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["dockerfile-not-reproducible", "made is not the same"]);
}

#[test]
fn every_artifact_of_this_repository_is_made_without_a_container_engine() {
    let casd = Casd::start_executing();
    let docker = published_repository();
    let remote = Sandbox::of_repository();
    let store = tempfile::tempdir().unwrap();
    without_docker(&remote, store.path(), &casd).run(["build", "--all"]).ends_with(exit::SUCCESS);
    let (remote, docker) = (made(&remote), made(docker));
    assert!(docker.contains_key("runbook-portal/runbook-portal.oci.tar"), "{:?}", docker.keys());
    let differing: Vec<&String> =
        docker.keys().filter(|name| docker.get(*name) != remote.get(*name)).collect();
    assert!(differing.is_empty() && docker.len() == remote.len(), "{differing:?}");
}
