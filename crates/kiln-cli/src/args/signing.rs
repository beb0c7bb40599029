//! The command line of signatures.

use clap::Args;
use kiln_publish::Threshold;
use std::path::PathBuf;

/// What to sign with: a file, a variable, or a program that keeps the key.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SigningKey {
    /// Signs with this private key: PKCS#8 in PEM, Ed25519 or ECDSA P-256, encrypted or not
    #[arg(long, value_name = "FILE", group = "signing-key")]
    pub(crate) key_file: Option<PathBuf>,
    /// Signs with the private key that this variable holds, in the same form
    #[arg(long, value_name = "VARIABLE", group = "signing-key")]
    pub(crate) key_env: Option<String>,
    /// Signs with a program that keeps the key: it gets what to sign on stdin and gives the signature on stdout; words are
    /// split at spaces, no shell is asked
    #[arg(long, value_name = "COMMAND", group = "signing-key", requires = "public_key")]
    pub(crate) key_command: Option<String>,
    /// The public key of that program, in PEM
    #[arg(long, value_name = "FILE", requires = "key_command")]
    pub(crate) public_key: Option<PathBuf>,
    /// The file whose first line is the passphrase of an encrypted key
    #[arg(long, value_name = "FILE", requires = "signing-key", conflicts_with = "key_command")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The variable that holds the passphrase of an encrypted key
    #[arg(
        long,
        value_name = "VARIABLE",
        requires = "signing-key",
        conflicts_with_all = ["key_command", "passphrase_file"]
    )]
    pub(crate) passphrase_env: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("required-key").required(true).multiple(true).args(["key_file", "key_env", "key_command"]))]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) key: SigningKey,
    /// What the ledger's log is called, such as example.org/team [default: as before]
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// Writes each bill of materials with the signature inside, too (JSF), for readers that want it there
    #[arg(long)]
    pub(crate) jsf: bool,
    /// The folder that artifacts are published in [default: dist in the workspace]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dist: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Holds the log against an older checkpoint that is kept elsewhere; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Believes older checkpoints only if this key, in PEM, signed them; may be given more than once
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    pub(crate) key: Vec<PathBuf>,
    /// Prints the proof that the last checkpoint that was signed here continues this one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["checkpoint", "signing-key"])]
    pub(crate) since: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sign: SigningKey,
    /// What the log is called, such as example.org/team [default: as before]
    #[arg(long, value_name = "NAME", requires = "signing-key")]
    pub(crate) origin: Option<String>,
}

/// By whom a release has to be signed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SignedBy {
    /// Looks at a signed release, which needs no workspace: by this public key in PEM; may be given more than once, of which
    /// one must have signed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "repair", "cross_check", "heads", "registry"])]
    pub(crate) key: Vec<PathBuf>,
    /// A checkpoint of the ledger that is known from before, which the release's must continue
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) since: Option<PathBuf>,
    /// The proof that it does, as kiln log --since prints it
    #[arg(long, value_name = "FILE", requires = "since")]
    pub(crate) proof: Option<PathBuf>,
    /// How many rebuilders of how many must have come to the same bytes, such as 2/3
    #[arg(long, value_name = "N/M", requires = "keys", conflicts_with_all = ["record", "repair", "cross_check", "heads", "registry"])]
    pub(crate) require: Option<Threshold>,
    /// The public keys of the rebuilders, in PEM, or folders of them
    #[arg(long, value_name = "FILE|FOLDER", requires = "require", num_args = 1..)]
    pub(crate) keys: Vec<PathBuf>,
    /// Verdicts of rebuilders, or folders of them, besides those that lie beside the artifacts
    #[arg(long, value_name = "FILE|FOLDER", requires = "require", num_args = 1..)]
    pub(crate) verdicts: Vec<PathBuf>,
}

impl SignedBy {
    /// Whether signatures are to be looked at.
    pub(crate) fn is_asked(&self) -> bool {
        !self.key.is_empty() || self.require.is_some()
    }
}
