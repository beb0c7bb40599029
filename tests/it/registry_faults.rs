//! Registries that are broken, silent or hostile: nothing of what they send is taken, and none is waited for without end.

use crate::harness::{FaultyProxy, Registry, Reply, Request, Sandbox};
use fs_err as fs;
use kiln_record::exit;

/// One way in which a registry goes wrong.
struct Fault {
    name: &'static str,
    /// The requests that it concerns, by a part of their path.
    at: &'static str,
    answer: fn(&Request, Vec<u8>) -> Reply,
    /// What is told of it.
    says: &'static str,
}

const FAULTS: [Fault; 27] = [
    Fault {
        name: "a manifest that is gone",
        at: "/manifests/v1",
        answer: |_, _| plain("404 Not Found", ""),
        says: "",
    },
    Fault {
        name: "a refusal",
        at: "/manifests/v1",
        answer: |_, _| plain("403 Forbidden", "{\"errors\":[{\"code\":\"DENIED\"}]}"),
        says: "DENIED",
    },
    Fault {
        name: "a failure that passes never",
        at: "/manifests/v1",
        answer: |_, _| plain("500 Internal Server Error", ""),
        says: "500",
    },
    Fault { name: "too many requests", at: "/manifests/v1", answer: |_, _| retry_at_once(), says: "429" },
    Fault {
        name: "a manifest without a byte",
        at: "/manifests/v1",
        answer: |_, _| plain("200 OK", ""),
        says: "",
    },
    Fault {
        name: "a page instead of a manifest",
        at: "/manifests/v1",
        answer: |_, _| plain("200 OK", "<html>sign in</html>"),
        says: "",
    },
    Fault {
        name: "a manifest of nothing",
        at: "/manifests/v1",
        answer: |_, _| plain("200 OK", "{}"),
        says: "",
    },
    Fault {
        name: "a manifest whose list is none",
        at: "/manifests/v1",
        answer: |_, _| plain("200 OK", "{\"schemaVersion\":2,\"layers\":7}"),
        says: "",
    },
    Fault {
        name: "a manifest that is deeper than any",
        at: "/manifests/v1",
        answer: |_, _| plain("200 OK", &"[".repeat(200_000)),
        says: "",
    },
    Fault {
        name: "a manifest that breaks off",
        at: "/manifests/v1",
        answer: |_, whole| cut(whole),
        says: "",
    },
    Fault {
        name: "a blob with another byte",
        at: "/blobs/",
        answer: |_, whole| altered(whole),
        says: "sha256:",
    },
    Fault { name: "a blob that breaks off", at: "/blobs/", answer: |_, whole| cut(whole), says: "" },
    Fault { name: "a blob with more bytes", at: "/blobs/", answer: |_, whole| longer(whole), says: "" },
    Fault { name: "a blob of no byte", at: "/blobs/", answer: |_, _| plain("200 OK", ""), says: "" },
    Fault {
        name: "a blob that is another",
        at: "/blobs/",
        answer: |_, _| plain("200 OK", "another"),
        says: "",
    },
    Fault {
        name: "a blob that is gone",
        at: "/blobs/",
        answer: |_, _| plain("404 Not Found", ""),
        says: "404",
    },
    Fault {
        name: "a blob that is forbidden",
        at: "/blobs/",
        answer: |_, _| plain("403 Forbidden", ""),
        says: "403",
    },
    Fault { name: "a blob said to be compressed", at: "/blobs/", answer: |_, _| compressed(), says: "" },
    Fault {
        name: "a redirect to itself",
        at: "/blobs/",
        answer: |request, _| redirect(&request.path),
        says: "redirects",
    },
    Fault {
        name: "a redirect to a file",
        at: "/blobs/",
        answer: |_, _| redirect("file:///etc/passwd"),
        says: "",
    },
    Fault {
        name: "a redirect to where nobody is",
        at: "/blobs/",
        answer: |_, _| redirect("http://127.0.0.1:9/x"),
        says: "",
    },
    Fault {
        name: "a redirect without an address",
        at: "/blobs/",
        answer: |_, _| plain("302 Found", ""),
        says: "redirect",
    },
    Fault {
        name: "no HTTP at all",
        at: "/manifests/v1",
        answer: |_, _| Reply::Verbatim(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        says: "",
    },
    Fault {
        name: "a header that does not end",
        at: "/manifests/v1",
        answer: |_, _| endless_header(),
        says: "",
    },
    Fault { name: "a login at a realm where nobody is", at: "/v2/", answer: |_, _| challenge(), says: "" },
    Fault {
        name: "silence",
        at: "/manifests/v1",
        answer: |_, _| Reply::Stalling(Vec::new()),
        says: "silent",
    },
    Fault {
        name: "silence within a blob",
        at: "/blobs/",
        answer: |_, whole| stalling(whole),
        says: "silent",
    },
];

fn plain(status: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Verbatim(
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .into_bytes(),
    )
}

fn retry_at_once() -> Reply {
    let head =
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    Reply::Verbatim(head.into())
}

fn redirect(location: &str) -> Reply {
    let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ";
    Reply::Verbatim(format!("{head}{location}\r\n\r\n").into_bytes())
}

fn compressed() -> Reply {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    Reply::Verbatim([head.as_bytes(), b"\x1f\x8b\x08\0"].concat())
}

fn endless_header() -> Reply {
    Reply::Verbatim(format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(8 << 20)).into_bytes())
}

fn challenge() -> Reply {
    let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1:9/token\",service=\"x\"\r\n";
    Reply::Verbatim(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes())
}

/// Where the body of an answer begins.
fn body(answer: &[u8]) -> usize {
    answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4
}

fn cut(mut whole: Vec<u8>) -> Reply {
    let keeps = body(&whole) + (whole.len() - body(&whole)) / 2;
    whole.truncate(keeps);
    Reply::Verbatim(whole)
}

fn stalling(mut whole: Vec<u8>) -> Reply {
    let keeps = body(&whole) + (whole.len() - body(&whole)) / 2;
    whole.truncate(keeps);
    Reply::Stalling(whole)
}

fn altered(mut whole: Vec<u8>) -> Reply {
    if let Some(last) = whole.last_mut() {
        *last ^= 1;
    }
    Reply::Verbatim(whole)
}

fn longer(whole: Vec<u8>) -> Reply {
    let body = [&whole[body(&whole)..], b"more"].concat();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Reply::Verbatim([head.as_bytes(), &body].concat())
}

#[test]
fn no_fault_of_a_registry_is_accepted_and_none_hangs() {
    let registry = Registry::start();
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let to = format!("{}/team", registry.address());
    sandbox.kiln().run(["push", "app", "--to", &to, "--tag", "v1"]).ends_with(exit::SUCCESS);
    let proxy = FaultyProxy::before(&registry);
    let reference = format!("{}/team/app:v1", proxy.address());
    let kiln = sandbox.kiln().with_variable("KILN_SILENCE", "1");
    for (number, fault) in FAULTS.iter().enumerate() {
        let into = sandbox.folder().join(format!("pulled-{number}"));
        fs::create_dir(&into).unwrap();
        proxy.fails(fault.at, fault.answer);
        let outcome = kiln.run(["pull", &reference, "--into", into.to_str().unwrap()]);
        assert_ne!(outcome.code, Some(0), "{} was accepted\n{outcome}", fault.name);
        assert_ne!(outcome.code, None, "{}: {outcome}", fault.name);
        assert!(
            outcome.stderr.contains(&proxy.address().to_string()),
            "{} is told with its place: {outcome}",
            fault.name
        );
        assert!(
            outcome.stderr.contains("error") && outcome.stderr.contains(fault.says),
            "{}: {outcome}",
            fault.name
        );
        assert!(outcome.stderr.len() < 5_000, "{}: {outcome}", fault.name);
        let left: Vec<_> = fs::read_dir(&into).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{} left {left:?}", fault.name);
    }
    proxy.mends();
    let into = sandbox.folder().join("pulled");
    fs::create_dir(&into).unwrap();
    kiln.run(["pull", &reference, "--into", into.to_str().unwrap()]).ends_with(exit::SUCCESS);
    assert!(fs::read(into.join("app.zip")).unwrap() == sandbox.read("dist/app/app.zip"));
}

#[test]
fn a_silent_registry_of_a_base_is_given_up_and_how_long_that_takes_is_said() {
    let registry = Registry::start();
    let proxy = FaultyProxy::before(&registry);
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox.replace("manifests/app.toml", "base = \"python-3.13\"", "base = \"silent\"");
    sandbox.write(
        "images/silent.toml",
        format!(
            "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"{}/kiln/silent:1\"\n",
            proxy.address()
        ),
    );
    proxy.fails("/v2/", |_, _| Reply::Stalling(Vec::new()));
    let kiln = sandbox.kiln().with_variable("KILN_SILENCE", "1");
    kiln.run(["lock", "--base", "silent"]).ends_with(exit::FETCH_FAILED).says(&[
        "base `silent`",
        "nothing was heard of the registry for 2 s",
        "KILN_SILENCE allows more",
    ]);
    sandbox
        .kiln()
        .with_variable("KILN_SILENCE", "soon")
        .run(["build", "app"])
        .ends_with(exit::USAGE)
        .says(&["KILN_SILENCE is `soon`, which is not a number of seconds from 1 to 3600"]);
}
