//! Keys from files, variables and programs.

use crate::args::signing::SigningKey;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::variables::Variables;
use fs_err as fs;
use kiln_attest::{PrivateKey, PublicKey, Signer};
use kiln_publish::PublishError;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The largest key or passphrase file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// The most that a program may print for a signature, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// What to sign with; none if nothing was named.
pub(crate) fn signer(
    given: &SigningKey,
    variables: &Variables,
    printer: Printer,
) -> Result<Option<Signer>, Failure> {
    let passphrase = match (&given.passphrase_file, &given.passphrase_env) {
        (Some(path), _) => {
            warn_if_readable(path, printer)?;
            Some(text(path)?.lines().next().unwrap_or_default().to_owned())
        }
        (None, Some(name)) => Some(variable(variables, name)?.to_owned()),
        (None, None) => None,
    };
    let private = |text: &str, what: &str| {
        let passphrase = passphrase.as_deref().map(str::as_bytes);
        PrivateKey::from_pem(text, passphrase, what).map(Signer::Key).map_err(PublishError::from)
    };
    if let Some(path) = &given.key_file {
        warn_if_readable(path, printer)?;
        return Ok(Some(private(&text(path)?, &path.display().to_string())?));
    }
    if let Some(name) = &given.key_env {
        return Ok(Some(private(variable(variables, name)?, &format!("the variable {name}"))?));
    }
    let (Some(command), Some(public)) = (&given.key_command, &given.public_key) else { return Ok(None) };
    let public = public_key(public)?;
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    Ok(Some(Signer::Outside { public, sign: Box::new(move |message| ask(&words, message)) }))
}

/// Public keys in files.
pub(crate) fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    paths.iter().map(|path| public_key(path)).collect()
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    Ok(PublicKey::from_pem(&text(path)?, &path.display().to_string()).map_err(PublishError::from)?)
}

/// A small file as text.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::input(format!("{}: {reason}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| Failure::input(error.to_string()))?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    match text.len() as u64 > MAX_FILE {
        true => Err(failed(format!("it has more than {MAX_FILE} bytes"))),
        false => Ok(text),
    }
}

fn variable<'a>(variables: &'a Variables, name: &str) -> Result<&'a str, Failure> {
    variables.get(name).ok_or_else(|| Failure::usage(format!("the variable {name} is not set, or is empty")))
}

/// Says that others can read what should be secret.
fn warn_if_readable(path: &Path, printer: Printer) -> Result<(), Failure> {
    let mode = fs::metadata(path).map_err(|error| Failure::input(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        printer.problem(&format!(
            "{}: others on this machine may read {path}: chmod go= {path}",
            printer.on_stderr(Style::Warn, "warning"),
            path = path.display()
        ));
    }
    Ok(())
}

/// Asks a program for the signature of a message.
fn ask(words: &[String], message: &[u8]) -> Result<Vec<u8>, String> {
    let (program, arguments) = words.split_first().ok_or("the command that signs is empty")?;
    let failed = |error: std::io::Error| format!("`{program}`: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut stdin = child.stdin.take();
    let mut signature = Vec::new();
    // One thread writes while this one reads: a program may answer before it has read everything.
    let read = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that wants less than the message gives no signature of it, which is seen then.
            let _ = stdin.as_mut().map(|stdin| stdin.write_all(message));
        });
        child.stdout.take().map(|stdout| stdout.take(MAX_ANSWER).read_to_end(&mut signature))
    });
    read.transpose().map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(signature),
        false => Err(format!("`{program}` ended with {status}")),
    }
}

/// That something is to be signed and no key is named, which is known before hours are spent.
pub(crate) fn no_key() -> Failure {
    Failure::usage("no key to sign with is named")
        .hint(
            "name one: --key-file FILE, --key-env VARIABLE, or --key-command COMMAND with --public-key FILE",
        )
        .hint("make one: openssl genpkey -algorithm ed25519 -out release.pem")
}
