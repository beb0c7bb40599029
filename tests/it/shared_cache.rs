//! Machines that share a cache: what one of them made, another takes, and comes to the same bytes. The server is one by
//! others, buildbox-casd.

use crate::harness::{Casd, FaultyProxy, Kiln, LocalIndex, Registry, Reply, Sandbox, self_building, wheel};
use kiln_record::exit;
use kiln_store::Ledger;
use std::path::Path;

const PYTHON: &str = "/usr/bin/python3.13";
const BUILD: [&str; 4] = ["build", "--all", "--color", "never"];

/// A workspace in which everything happens that a cache holds: a step, a wheel built from source, bytecode, and a Dockerfile.
fn workspace() -> (Sandbox, LocalIndex) {
    let tool = self_building("tool", "1.0", &[], "\"VALUE = 1\\n\"");
    let index = LocalIndex::serve(std::slice::from_ref(&tool));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import tool\n\ndef handler(event, context):\n    return tool.VALUE\n";
    let step = format!(
        "sdists = [\"tool\"]\n\n[package]\nbytecode = \"unchecked-hash\"\n\n[[step]]\nname = \"site\"\n\
         argv = [\"{PYTHON}\", \"-c\", \"open('/out/large', 'wb').write(bytes(range(256)) * 20000)\"]\n\
         outputs = [{{ path = \"/out/large\", into = \"static\" }}]\n"
    );
    sandbox.function("app", "3.13", code, &tool.requirement("")).append("manifests/app.toml", &step);
    made_image(&sandbox);
    (sandbox, index)
}

/// Adds an image of a Dockerfile that makes a file.
fn made_image(sandbox: &Sandbox) {
    let run = serde_json::json!([PYTHON, "-c", "open('/made', 'w').write('made')"]);
    sandbox
        .write(
            "manifests/image.toml",
            "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \"image/Dockerfile\"\n",
        )
        .write(
            "manifests/image/Dockerfile",
            format!("FROM localhost/kiln/python-3.13\nRUN {run}\nCMD [\"{PYTHON}\", \"-V\"]\n"),
        );
}

/// The same workspace on a machine that has built nothing.
fn elsewhere(sandbox: &Sandbox) -> Sandbox {
    let other = sandbox.copy();
    for folder in ["dist", ".kiln"] {
        fs_err::remove_dir_all(other.path(folder)).unwrap();
    }
    other
}

fn kiln(sandbox: &Sandbox, store: &Path, address: &str) -> Kiln {
    sandbox.kiln().with_store(store).with_variable("KILN_REMOTE", address)
}

#[test]
fn an_empty_store_with_a_warm_cache_comes_to_the_same_bytes_and_runs_nothing_of_it() {
    let casd = Casd::start();
    let (first, _index) = workspace();
    let stores = tempfile::tempdir().unwrap();
    let store = |name: &str| stores.path().join(name);
    let writing = kiln(&first, &store("first"), &casd.address()).with_variable("KILN_REMOTE_WRITE", "true");
    let cold = writing.run(BUILD).ends_with(exit::SUCCESS);
    cold.clone().says(&["app site, again", "tool-1.0.tar.gz, again"]);
    assert!(!cold.stderr.contains("warning") && !cold.stderr.contains("told"), "{cold}");

    let (door, certificate) = casd.behind_door(None);
    let address = door.address();
    let second = elsewhere(&first);
    let reading = kiln(&second, &store("second"), &address)
        .with_variable("SSL_CERT_FILE", &certificate.display().to_string());
    let warm = reading.run(BUILD).ends_with(exit::SUCCESS);
    let from = |what: &str| format!("{what}, by the word of {address}");
    warm.clone().says(&[
        &from("told app the step site"),
        &from("told app the wheel of tool-1.0.tar.gz"),
        &from("told app the bytecode"),
        &from("told image the Dockerfile"),
    ]);
    assert!(!warm.stderr.contains("again") && !warm.stderr.contains("warning"), "{warm}");
    assert_eq!(second.dist(), first.dist());

    // Whose word it is, is beside the entry, and in nothing that is published.
    let ledger = |sandbox: &Sandbox, name: &str| {
        let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
        ledger.run_details(&name.parse().unwrap(), 1).unwrap().unwrap().told
    };
    assert_eq!(ledger(&first, "app"), []);
    let told: Vec<String> = ledger(&second, "app").into_iter().map(|told| told.what).collect();
    assert_eq!(told, ["the bytecode", "the step site", "the wheel of tool-1.0.tar.gz"]);
    assert!(ledger(&second, "image").iter().all(|told| told.from == address));
    reading
        .run(["show", "app"])
        .ends_with(exit::SUCCESS)
        .prints(&["taken on the word of others", "the step site"]);
    reading.run(["verify"]).ends_with(exit::SUCCESS);

    // A server that nobody vouches for is not asked, and one that is gone is not waited for.
    let third = elsewhere(&first);
    let distrusting = kiln(&third, &store("third"), &address);
    let alone = distrusting.run(BUILD).ends_with(exit::SUCCESS);
    alone.clone().says(&["warning", "everything is made here", "app site, again"]);
    assert_eq!(alone.stderr.matches("everything is made here").count(), 1, "{alone}");
    assert_eq!(third.dist(), first.dist());

    // Whoever takes no word makes all of it, from what the same store holds.
    drop((door, casd));
    let fourth = elsewhere(&first);
    let own = kiln(&fourth, &store("second"), "off").run(BUILD).ends_with(exit::SUCCESS);
    own.says(&["app site, again", "tool-1.0.tar.gz, again"]);
    assert_eq!(fourth.dist(), first.dist());
}

/// Where no Debian mirror answers.
const NO_MIRROR: (&str, &str) = ("KILN_DEBIAN_MIRROR", "http://127.0.0.1:9/debian");

#[test]
fn a_container_registry_gives_downloads_that_are_what_was_asked_for_and_no_results() {
    let registry = Registry::start();
    let alpha = wheel("alpha", "1.0", "py3-none-any", &[], &[("alpha.py", b"VALUE = 1\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&alpha));
    let first = Sandbox::new().with_index(&index);
    let code = "import alpha\n\ndef handler(event, context):\n    return alpha.VALUE\n";
    let step = format!(
        "\n[[step]]\nname = \"site\"\nargv = [\"{PYTHON}\", \"-c\", \"open('/out/made', 'w').write('made')\"]\n\
         outputs = [{{ path = \"/out/made\", into = \"static\" }}]\n"
    );
    first.function("app", "3.13", code, &alpha.requirement("")).append("manifests/app.toml", &step);
    let image = format!(
        "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \"page\"\n\n\
         [image]\nentrypoint = [\"{PYTHON}\", \"page.py\"]\n"
    );
    first.write("manifests/page.toml", image).write("manifests/page/page.py", "X = 1\n");
    let stores = tempfile::tempdir().unwrap();
    let store = |name: &str| stores.path().join(name);
    let address = |at: &str| format!("oci://{at}/team/cache");
    let here = address(&registry.address().to_string());
    let writing = kiln(&first, &store("first"), &here).with_variable("KILN_REMOTE_WRITE", "true");
    let cold = writing.run(BUILD).ends_with(exit::SUCCESS);
    assert!(!cold.stderr.contains("warning"), "{cold}");

    // Nothing comes from elsewhere, not even the wheel: how long that is, the cache says where this index does not.
    let second = elsewhere(&first);
    let reading = kiln(&second, &store("second"), &here).with_variable(NO_MIRROR.0, NO_MIRROR.1);
    let warm = reading.run(BUILD).ends_with(exit::SUCCESS).says(&["app site, again"]);
    assert!(!warm.stderr.contains("warning") && !warm.stderr.contains("told"), "{warm}");
    assert!(!warm.stderr.contains(".deb") && !warm.stderr.contains(".whl"), "{warm}");
    assert_eq!(second.dist(), first.dist());
    let third = elsewhere(&first);
    let alone = kiln(&third, &store("third"), "off").with_variable(NO_MIRROR.0, NO_MIRROR.1);
    alone.run(BUILD).ends_with(exit::FETCH_FAILED);

    // What is not what was asked for is not taken, told once, and had from where it is from.
    let proxy = FaultyProxy::before(&registry);
    proxy.fails("/blobs/sha256", |_, mut whole| {
        if let Some(last) = whole.last_mut() {
            *last ^= 1;
        }
        Reply::Verbatim(whole)
    });
    let lied_to = kiln(&third, &store("fourth"), &address(&proxy.address().to_string())).run(BUILD);
    let lied_to = lied_to.ends_with(exit::SUCCESS);
    assert_eq!(lied_to.stderr.matches("everything is made here").count(), 1, "{lied_to}");
    assert_eq!(third.dist(), first.dist());
}

#[test]
fn who_may_only_read_a_container_registry_reads_it_where_writing_is_on() {
    let registry = Registry::start();
    let alpha = wheel("alpha", "1.0", "py3-none-any", &[], &[("alpha.py", b"VALUE = 1\n")]);
    let beta = wheel("beta", "1.0", "py3-none-any", &[], &[("beta.py", b"VALUE = 2\n")]);
    let index = LocalIndex::serve(&[alpha.clone(), beta.clone()]);
    let first = Sandbox::new().with_index(&index);
    let code = "import alpha\n\ndef handler(event, context):\n    return alpha.VALUE\n";
    first.function("app", "3.13", code, &alpha.requirement(""));
    let stores = tempfile::tempdir().unwrap();
    let store = |name: &str| stores.path().join(name);
    let address = |at: &str| format!("oci://{at}/team/cache");
    let open = address(&registry.address().to_string());
    let writing = kiln(&first, &store("first"), &open).with_variable("KILN_REMOTE_WRITE", "true");
    writing.run(BUILD).ends_with(exit::SUCCESS);

    // Tokens to read are for everybody, those to write for nobody.
    let proxy = FaultyProxy::before(&registry);
    let realm = format!("http://{}/token", proxy.address());
    let answered = |status: &str, more: &str, body: &str| {
        let length = body.len();
        Reply::Verbatim(
            format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
        )
    };
    proxy.fails("/", move |request, answer| {
        let is_known = request.headers.iter().any(|header| header.ends_with("Bearer r3ader"));
        if let Some(asked) = request.path.strip_prefix("/token") {
            return match asked.contains("push") {
                true => answered("403 Forbidden", "", "{\"errors\":[{\"code\":\"DENIED\"}]}"),
                false => answered("200 OK", "", "{\"token\":\"r3ader\"}"),
            };
        }
        if is_known && matches!(request.method.as_str(), "GET" | "HEAD") {
            return Reply::Verbatim(answer);
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"cache\"\r\n");
        answered("401 Unauthorized", &challenge, "")
    });
    let second = elsewhere(&first);
    second.append("manifests/app/requirements.txt", &beta.requirement(""));
    let reading = kiln(&second, &store("second"), &address(&proxy.address().to_string()))
        .with_variable("KILN_REMOTE_WRITE", "true")
        .with_variable(NO_MIRROR.0, NO_MIRROR.1);
    let read = reading.run(BUILD).ends_with(exit::SUCCESS);
    assert_eq!(read.stderr.matches("nothing more is sent to it").count(), 1, "{read}");
    assert!(!read.stderr.contains("everything is made here"), "{read}");
    assert!(!read.stderr.contains("download  alpha") && read.stderr.contains("download  beta"), "{read}");
}

#[test]
fn a_cache_is_named_as_it_can_be_used() {
    let sandbox = Sandbox::bare();
    let build = |variables: &[(&str, &str)]| {
        let set = |kiln: Kiln, (name, value): &(&str, &str)| kiln.with_variable(name, value);
        variables.iter().fold(sandbox.kiln(), set).run(BUILD)
    };
    build(&[("KILN_REMOTE", "https://cache.example.org")])
        .ends_with(exit::INPUT_INVALID)
        .says(&["KILN_REMOTE: `https://cache.example.org` is not the address of a server"]);
    build(&[("KILN_REMOTE", "oci://registry.example.org/team/cache:v1")])
        .ends_with(exit::INPUT_INVALID)
        .says(&["KILN_REMOTE: oci:// is followed by HOST[:PORT]/REPOSITORY", "leave tag and digest out"]);
    sandbox.append("kiln.toml", "\n[remote]\ncache = \"grpcs://cache.example.org\"\n");
    build(&[("KILN_REMOTE_TOKEN_FILE", "/token")])
        .ends_with(exit::INPUT_INVALID)
        .says(&["a workspace does not choose who gets a token", "KILN_REMOTE=grpcs://cache.example.org:443"]);
    build(&[("KILN_REMOTE_WRITE", "yes")]).ends_with(exit::USAGE).says(&["neither true nor false"]);
    sandbox.replace("kiln.toml", "grpcs://cache", "grpcs://me:s3cret@cache");
    let refused = build(&[]).ends_with(exit::INPUT_INVALID);
    assert!(!refused.stderr.contains("s3cret"), "{refused}");
}
