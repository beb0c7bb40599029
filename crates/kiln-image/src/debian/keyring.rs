//! The public keys that a user trusts.

use super::openpgp::{Packet, PublicKey, Signature, dearmor, packets};
use crate::ImageError;

/// Keys with what their own signatures say about them. Keys of kinds that kiln does not verify stay out and are listed.
#[derive(Debug, Clone)]
pub struct Keyring {
    pub(crate) keys: Vec<TrustedKey>,
    unusable: Vec<String>,
}

/// A primary key or subkey that may sign data.
#[derive(Debug, Clone)]
pub(crate) struct TrustedKey {
    pub(crate) key: PublicKey,
    /// When it stops being valid, seconds since 1970.
    pub(crate) expires: Option<u64>,
}

impl Keyring {
    /// Reads public keys: binary (`.gpg`), or armored blocks one after another (`.asc`).
    ///
    /// A primary key counts if it vouches for itself with a signature over itself or a user ID; a subkey if the primary
    /// key bound it for signing and it signed back (RFC 9580, 5.2.1 and 10.1). Revoked keys are left out. Revocations
    /// by another key are not looked at: whoever keeps the keyring file takes the key out instead.
    ///
    /// # Errors
    /// [`ImageError::Keyring`] if the data is malformed or holds no key that can verify anything.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let error = |reason: String| ImageError::Keyring { reason };
        let binary = if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            bytes.to_vec()
        } else {
            let text =
                str::from_utf8(bytes).map_err(|_| error("it is neither binary nor text".to_owned()))?;
            let mut lines: Vec<&str> = text.lines().collect();
            let mut all = Vec::new();
            loop {
                let blank = lines.iter().take_while(|line| line.trim().is_empty()).count();
                lines.drain(..blank);
                if lines.is_empty() {
                    break;
                }
                let (block, rest) = dearmor(&lines, "PGP PUBLIC KEY BLOCK").map_err(error)?;
                all.extend(block);
                lines = rest;
            }
            all
        };
        let packets = packets(&binary).map_err(error)?;
        let mut keyring = Self { keys: Vec::new(), unusable: Vec::new() };
        let mut rest = packets.as_slice();
        while !rest.is_empty() {
            let end = rest.iter().skip(1).position(|packet| packet.tag == 6).map_or(rest.len(), |at| at + 1);
            let (certificate, following) = rest.split_at(end);
            if certificate[0].tag != 6 {
                return Err(error("it does not start with a public key".to_owned()));
            }
            keyring.add(certificate);
            rest = following;
        }
        if keyring.keys.is_empty() {
            let reason = if keyring.unusable.is_empty() {
                "it holds no public key".to_owned()
            } else {
                format!("it holds no usable key: {}", keyring.unusable.join("; "))
            };
            return Err(error(reason));
        }
        Ok(keyring)
    }

    /// The fingerprints of all keys that can verify, in the order of the file.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.key.fingerprint.as_str())
    }

    /// Why keys of the file cannot verify anything, one line each.
    #[must_use]
    pub fn unusable(&self) -> &[String] {
        &self.unusable
    }

    /// Adds a transferable public key: the primary key's packet and all up to the next primary key.
    fn add(&mut self, certificate: &[Packet<'_>]) {
        let primary = match PublicKey::parse(certificate[0].body) {
            Ok(primary) => primary,
            Err(reason) => return self.unusable.push(reason),
        };
        let end = certificate.iter().position(|packet| packet.tag == 14).unwrap_or(certificate.len());
        let (own, subkeys) = certificate.split_at(end);
        match read_primary(&primary, own) {
            Ok(standing) => {
                if standing.may_sign {
                    self.keys.push(TrustedKey { key: primary.clone(), expires: standing.expires });
                }
                let mut rest = subkeys;
                while !rest.is_empty() {
                    let end = rest.iter().skip(1).position(|p| p.tag == 14).map_or(rest.len(), |at| at + 1);
                    let (subkey, following) = rest.split_at(end);
                    match read_subkey(&primary, subkey) {
                        Ok(Some(mut key)) => {
                            // A subkey is never valid longer than its primary key.
                            key.expires = earliest(key.expires, standing.expires);
                            self.keys.push(key);
                        }
                        Ok(None) => {}
                        Err(reason) => {
                            self.unusable.push(format!("{} (subkey): {reason}", primary.fingerprint))
                        }
                    }
                    rest = following;
                }
            }
            Err(reason) => self.unusable.push(format!("{}: {reason}", primary.fingerprint)),
        }
    }
}

/// What a primary key's own signatures say.
struct Standing {
    expires: Option<u64>,
    may_sign: bool,
}

fn earliest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().min()
}

/// Checks the primary key's signatures over itself and its user IDs. The newest of each sort counts; where both sorts
/// state an expiry, the earlier one does.
fn read_primary(primary: &PublicKey, packets: &[Packet<'_>]) -> Result<Standing, String> {
    let mut user_id = Vec::new();
    let mut direct: Option<Signature> = None;
    let mut certification: Option<Signature> = None;
    for packet in &packets[1..] {
        match packet.tag {
            13 | 17 => {
                let prefix: u8 = if packet.tag == 13 { 0xB4 } else { 0xD1 };
                let length = u32::try_from(packet.body.len()).map_err(|_| "a user ID is too long")?;
                user_id = [&[prefix][..], &length.to_be_bytes(), packet.body].concat();
            }
            2 => {
                // Signatures by others, and kinds that kiln does not verify, say nothing about the key.
                let Ok(signature) = Signature::parse(packet.body) else { continue };
                if !primary.is_issuer_of(&signature) {
                    continue;
                }
                let (content, slot) = match signature.kind {
                    0x1F => (primary.framed.clone(), &mut direct),
                    0x10..=0x13 if !user_id.is_empty() => {
                        ([primary.framed.as_slice(), &user_id].concat(), &mut certification)
                    }
                    0x20 if primary.verifies(&signature, &primary.framed) => {
                        return Err("the key is revoked".to_owned());
                    }
                    _ => continue,
                };
                if primary.verifies(&signature, &content)
                    && slot.as_ref().is_none_or(|there| there.created <= signature.created)
                {
                    *slot = Some(signature);
                }
            }
            _ => {}
        }
    }
    if direct.is_none() && certification.is_none() {
        return Err("the key does not vouch for itself with a signature that kiln accepts".to_owned());
    }
    let expiry = |signature: &Option<Signature>| {
        signature.as_ref().and_then(|s| s.key_valid_for).map(|seconds| primary.created + seconds)
    };
    let flags =
        certification.as_ref().and_then(|s| s.key_flags).or(direct.as_ref().and_then(|s| s.key_flags));
    Ok(Standing {
        expires: earliest(expiry(&direct), expiry(&certification)),
        may_sign: flags.is_none_or(|flags| flags & 2 != 0),
    })
}

/// Checks how a subkey is bound; `None` if it is not for signing.
fn read_subkey(primary: &PublicKey, packets: &[Packet<'_>]) -> Result<Option<TrustedKey>, String> {
    let signatures: Vec<Signature> = packets[1..]
        .iter()
        .filter(|packet| packet.tag == 2)
        .filter_map(|packet| Signature::parse(packet.body).ok())
        .filter(|signature| primary.is_issuer_of(signature))
        .collect();
    let for_signing = signatures.iter().any(|s| s.kind == 0x18 && s.key_flags.is_some_and(|f| f & 2 != 0));
    if !for_signing {
        return Ok(None);
    }
    let key = PublicKey::parse(packets[0].body)?;
    let content = [primary.framed.as_slice(), &key.framed].concat();
    if signatures.iter().any(|s| s.kind == 0x28 && primary.verifies(s, &content)) {
        return Err("the subkey is revoked".to_owned());
    }
    let binding = signatures
        .iter()
        .filter(|s| s.kind == 0x18 && primary.verifies(s, &content))
        .max_by_key(|s| s.created)
        .ok_or("the primary key's signature over the subkey is not good")?;
    if binding.key_flags.is_none_or(|flags| flags & 2 == 0) {
        return Ok(None);
    }
    // Without the subkey's own signature, anyone could claim another's subkey as theirs.
    let back = binding.embedded.as_deref().ok_or("the subkey did not sign back")?;
    let back = Signature::parse(back)?;
    if back.kind != 0x19 || !key.verifies(&back, &content) {
        return Err("the subkey's signature back is not good".to_owned());
    }
    let expires = binding.key_valid_for.map(|seconds| key.created + seconds);
    Ok(Some(TrustedKey { key, expires }))
}
