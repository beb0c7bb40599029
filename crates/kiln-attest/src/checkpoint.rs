//! Checkpoints: the size and root of a log as a signed note (C2SP `tlog-checkpoint` and `signed-note`).

use crate::{Algorithm, AttestError, KeyId, PublicKey, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_record::Digest;

/// The largest note that is read, in bytes.
const MAX_NOTE: usize = 64 << 10;
/// The most signatures that a note may have.
const MAX_SIGNATURES: usize = 32;
/// What a line with a signature begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// The size and root of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the log is called: `example.org/team`.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// A text with signatures below it, which is a checkpoint. Nothing of it is to be believed before [`SignedNote::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    checkpoint: Checkpoint,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    key: [u8; 4],
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// The three lines that are signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.base64())
    }

    /// Signs it, in the name of the log.
    ///
    /// # Errors
    /// [`AttestError::Signing`], also if the log's name is no name of a key.
    pub fn sign(&self, signer: &Signer) -> Result<SignedNote, AttestError> {
        if !is_name(&self.origin) {
            let reason = "the name of a log has no spaces, control characters and plus signs".to_owned();
            return Err(AttestError::Signing { reason });
        }
        let text = self.text();
        let bytes = signer.sign(text.as_bytes())?;
        let key = note_key(&self.origin, signer.public());
        let signatures = vec![NoteSignature { name: self.origin.clone(), key, bytes }];
        Ok(SignedNote { text, checkpoint: self.clone(), signatures })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or("it has no origin")?;
        let size = lines.next().and_then(number).ok_or("its second line is not the size of a log")?;
        let root = lines.next().and_then(hash).ok_or("its third line is not the root of a log")?;
        if lines.any(str::is_empty) {
            return Err("it has an empty line".to_owned());
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// What a note calls a key: the first four bytes of a hash of its name, kind and bytes; of an ECDSA key, of its
/// SubjectPublicKeyInfo alone.
fn note_key(name: &str, key: &PublicKey) -> [u8; 4] {
    let digest = match key.algorithm() {
        Algorithm::Ed25519 => Digest::of(&[name.as_bytes(), b"\n\x01", key.bytes()].concat()),
        Algorithm::EcdsaP256 => Digest::of(key.spki()),
    };
    let mut id = [0; 4];
    id.copy_from_slice(&digest.as_bytes()[..4]);
    id
}

/// Whether a text can be the name of a key.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// A decimal number without leading zeroes.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<Digest> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Digest::from_bytes)
}

impl SignedNote {
    /// Reads a note.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn parse(note: &str) -> Result<Self, AttestError> {
        let malformed = |reason: &str| AttestError::malformed("a signed checkpoint", reason);
        if note.len() > MAX_NOTE {
            return Err(malformed("it is too long"));
        }
        if note.contains(|c: char| c.is_ascii_control() && c != '\n') {
            return Err(malformed("it has a control character"));
        }
        let Some((above, below)) = note.rsplit_once("\n\n") else {
            return Err(malformed("it has no signatures below an empty line"));
        };
        let Some(below) = below.strip_suffix('\n').filter(|below| !below.is_empty()) else {
            return Err(malformed("its last line is cut off"));
        };
        let text = format!("{above}\n");
        let checkpoint = Checkpoint::parse(&text).map_err(|reason| malformed(&reason))?;
        let mut signatures = Vec::new();
        for line in below.split('\n') {
            let parts = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' '));
            let (name, encoded) = parts
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| malformed("a line below the empty one is no signature"))?;
            let bytes = STANDARD.decode(encoded).map_err(|_| malformed("a signature is not base64"))?;
            let Some((key, bytes)) = bytes.split_first_chunk::<4>().filter(|(_, bytes)| !bytes.is_empty())
            else {
                return Err(malformed("a signature is too short"));
            };
            signatures.push(NoteSignature { name: name.to_owned(), key: *key, bytes: bytes.to_owned() });
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(malformed("it has too many signatures"));
        }
        Ok(Self { text, checkpoint, signatures })
    }

    /// The whole as a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |one: &NoteSignature| {
            let signature = STANDARD.encode([one.key.as_slice(), &one.bytes].concat());
            format!("{DASH}{} {signature}\n", one.name)
        };
        format!("{}\n{}", self.text, self.signatures.iter().map(line).collect::<String>())
    }

    /// The checkpoint, if one of the keys signed it in the name of the log; and which.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`], also if a signature says that it is by one of the keys and is not.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(&Checkpoint, KeyId), AttestError> {
        let mut signed = None;
        for one in self.signatures.iter().filter(|one| one.name == self.checkpoint.origin) {
            for key in keys.iter().filter(|key| note_key(&one.name, key) == one.key) {
                if !key.verifies(self.text.as_bytes(), &one.bytes) {
                    let reason = format!(
                        "the checkpoint names the key {}, whose signature it is not: it was changed after it was signed",
                        key.id()
                    );
                    return Err(AttestError::NotSigned { reason });
                }
                signed = Some(key.id());
            }
        }
        let tried: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
        let nobody = || format!("no signature of the checkpoint is by {}", tried.join(" or "));
        signed.map(|key| (&self.checkpoint, key)).ok_or_else(|| AttestError::NotSigned { reason: nobody() })
    }

    /// What it says, whoever says so.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

#[cfg(test)]
mod tests {
    use super::note_key;
    use crate::{Algorithm, PublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_key_is_called_and_signs_as_in_the_example_of_the_standard() {
        let vkey = STANDARD.decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").unwrap();
        let key = PublicKey::new(Algorithm::Ed25519, &vkey[1..]).unwrap();
        let signature = STANDARD
            .decode("Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=")
            .unwrap();
        assert_eq!(note_key("example.com/foo", &key), [0x53, 0x0d, 0x90, 0x3a]);
        assert_eq!(signature[..4], [0x53, 0x0d, 0x90, 0x3a]);
        assert!(key.verifies(b"This is an example message.\n", &signature[4..]));
    }
}
