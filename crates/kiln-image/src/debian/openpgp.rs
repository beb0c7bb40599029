//! The part of OpenPGP (RFC 9580) that checking an archive's signature needs: armor, packets, version 4 keys and
//! signatures, RSA and Ed25519.
//!
//! The mathematics is `ring`'s. A complete OpenPGP crate was measured and refused: about 150 more crates and 87 s more
//! compile time, for one verification. What is left out on purpose: encryption, version 3 and 6 packets, DSA and other
//! curves, MD5 and SHA-1 signatures. Whatever is left out is refused, never accepted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, signature as ring_signature};

/// Largest armored or binary input in bytes. Debian's whole keyring has 56 KB.
const INPUT_LIMIT: usize = 4 << 20;
/// The object identifier of Ed25519 in EdDSA-legacy keys (RFC 9580, 9.2).
const ED25519_OID: [u8; 9] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0xDA, 0x47, 0x0F, 0x01];

/// A packet: its type and body (RFC 9580, 4).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet<'a> {
    /// The packet type ID: 2 signature, 6 key, 13 user ID, 14 subkey, 17 user attribute.
    pub(crate) tag: u8,
    /// Its content.
    pub(crate) body: &'a [u8],
}

/// Splits a sequence of packets. Partial and indeterminate lengths, which keys and signatures never need, are refused.
pub(crate) fn packets(bytes: &[u8]) -> Result<Vec<Packet<'_>>, String> {
    if bytes.len() > INPUT_LIMIT {
        return Err(format!("it is larger than {INPUT_LIMIT} bytes"));
    }
    let mut reader = Reader(bytes);
    let mut all = Vec::new();
    while !reader.0.is_empty() {
        let header = reader.u8()?;
        let (tag, length) = match header {
            0xC0.. => {
                let length = match reader.u8()? {
                    short @ 0..=191 => usize::from(short),
                    first @ 192..=223 => (usize::from(first) - 192) * 256 + usize::from(reader.u8()?) + 192,
                    255 => reader.u32()? as usize,
                    _ => return Err("a packet has a partial length".to_owned()),
                };
                (header & 0x3F, length)
            }
            0x80.. => {
                let length = match header & 3 {
                    0 => usize::from(reader.u8()?),
                    1 => usize::from(reader.u16()?),
                    2 => reader.u32()? as usize,
                    _ => return Err("a packet has an indeterminate length".to_owned()),
                };
                (header >> 2 & 0x0F, length)
            }
            _ => return Err("a packet header is missing".to_owned()),
        };
        all.push(Packet { tag, body: reader.bytes(length)? });
    }
    Ok(all)
}

/// Decodes the first armored block of a kind, such as `PGP SIGNATURE`, and returns it with the lines after it. The
/// optional checksum is not looked at (RFC 9580, 6.1: it must not be relied on).
pub(crate) fn dearmor<'a>(lines: &[&'a str], kind: &str) -> Result<(Vec<u8>, Vec<&'a str>), String> {
    let begin = format!("-----BEGIN {kind}-----");
    let end = format!("-----END {kind}-----");
    let mut rest = lines.iter().map(|line| line.trim_end());
    if rest.next() != Some(begin.as_str()) {
        return Err(format!("`{begin}` is missing"));
    }
    let mut rest = rest.skip_while(|line| line.contains(": ")).peekable();
    // The headers end at an empty line; a block without headers still has it.
    match rest.next() {
        Some("") => {}
        _ => return Err("the armor headers do not end in an empty line".to_owned()),
    }
    let mut base64 = String::new();
    loop {
        let line = rest.next().ok_or_else(|| format!("`{end}` is missing"))?;
        if line == end {
            break;
        }
        if base64.len() + line.len() > INPUT_LIMIT {
            return Err(format!("the armored block is larger than {INPUT_LIMIT} bytes"));
        }
        if !line.starts_with('=') {
            base64.push_str(line);
        }
    }
    let bytes =
        STANDARD.decode(&base64).map_err(|error| format!("the armored block is not base64: {error}"))?;
    let remaining = rest.count();
    Ok((bytes, lines[lines.len() - remaining..].to_vec()))
}

/// A version 4 public key or subkey.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    /// SHA-1 over the key's packet, in upper-case hexadecimal (RFC 9580, 5.5.4.2).
    pub(crate) fingerprint: String,
    /// When it was made, seconds since 1970.
    pub(crate) created: u64,
    /// The packet framed as signatures over keys hash it.
    pub(crate) framed: Vec<u8>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// Reads the body of a key or subkey packet.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut reader = Reader(body);
        if reader.u8()? != 4 {
            return Err("the key is not of version 4".to_owned());
        }
        let created = u64::from(reader.u32()?);
        let material = match reader.u8()? {
            1 | 3 => {
                let (n, e) = (reader.mpi()?.to_vec(), reader.mpi()?.to_vec());
                if n.len() < 256 {
                    return Err("the RSA key has fewer than 2048 bits".to_owned());
                }
                Material::Rsa { n, e }
            }
            22 => {
                let oid_length = usize::from(reader.u8()?);
                if reader.bytes(oid_length)? != ED25519_OID {
                    return Err("the EdDSA key is not on Ed25519".to_owned());
                }
                let point = reader.mpi()?;
                // The leading 0x40 says that the point is in its native form.
                let native = point.strip_prefix(&[0x40]).and_then(|p| p.try_into().ok());
                Material::Ed25519(native.ok_or("the Ed25519 key has a wrong length")?)
            }
            27 => {
                let native = reader.bytes(32)?.try_into();
                Material::Ed25519(native.map_err(|_| "the Ed25519 key has a wrong length")?)
            }
            algorithm => return Err(format!("the key algorithm {algorithm} is not supported")),
        };
        if !reader.0.is_empty() {
            return Err("the key packet has bytes after the key".to_owned());
        }
        let length = u16::try_from(body.len()).map_err(|_| "the key packet is too long")?;
        let framed = [&[0x99][..], &length.to_be_bytes(), body].concat();
        let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &framed);
        Ok(Self { fingerprint: hex::encode_upper(fingerprint), created, framed, material })
    }

    /// Whether a signature over `content` was made by this key.
    pub(crate) fn verifies(&self, signature: &Signature, content: &[u8]) -> bool {
        let message = [content, &signature.trailer].concat();
        match (&self.material, &signature.value) {
            (Material::Rsa { n, e }, SignatureValue::Rsa(value)) => {
                let parameters = match signature.hash {
                    Hash::Sha256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                    Hash::Sha384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
                    Hash::Sha512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
                };
                let Some(value) = left_padded(value, n.len()) else { return false };
                ring_signature::RsaPublicKeyComponents { n, e }.verify(parameters, &message, &value).is_ok()
            }
            (Material::Ed25519(point), SignatureValue::Ed25519(value)) => {
                // OpenPGP signs the digest of the message, not the message (RFC 9580, 5.2.3.3).
                let algorithm = match signature.hash {
                    Hash::Sha256 => &digest::SHA256,
                    Hash::Sha384 => &digest::SHA384,
                    Hash::Sha512 => &digest::SHA512,
                };
                let hashed = digest::digest(algorithm, &message);
                ring_signature::UnparsedPublicKey::new(&ring_signature::ED25519, point)
                    .verify(hashed.as_ref(), value)
                    .is_ok()
            }
            _ => false,
        }
    }

    /// Whether a signature names this key as its issuer. This only selects candidates; [`Self::verifies`] decides.
    pub(crate) fn is_issuer_of(&self, signature: &Signature) -> bool {
        match (&signature.issuer_fingerprint, &signature.issuer_id) {
            (Some(fingerprint), _) => *fingerprint == self.fingerprint,
            // The key ID is the last 8 bytes of the fingerprint.
            (None, Some(id)) => self.fingerprint.ends_with(id.as_str()),
            (None, None) => false,
        }
    }
}

/// The digests that a signature may use.
#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug, Clone)]
enum SignatureValue {
    Rsa(Vec<u8>),
    Ed25519([u8; 64]),
}

/// A version 4 signature with the properties that its signed part states.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// The signature type ID (RFC 9580, 5.2.1).
    pub(crate) kind: u8,
    /// When it was made, seconds since 1970.
    pub(crate) created: u64,
    /// How many seconds it is valid, if limited.
    pub(crate) valid_for: Option<u64>,
    /// How many seconds after its creation the key expires, if it does.
    pub(crate) key_valid_for: Option<u64>,
    /// What the key may be used for; bit 2 is signing.
    pub(crate) key_flags: Option<u8>,
    /// The signature by the subkey that a binding signature carries.
    pub(crate) embedded: Option<Vec<u8>>,
    /// The issuer, as the signature names it.
    pub(crate) issuer_fingerprint: Option<String>,
    issuer_id: Option<String>,
    hash: Hash,
    trailer: Vec<u8>,
    value: SignatureValue,
}

impl Signature {
    /// Reads the body of a signature packet.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut reader = Reader(body);
        if reader.u8()? != 4 {
            return Err("the signature is not of version 4".to_owned());
        }
        let kind = reader.u8()?;
        let algorithm = reader.u8()?;
        let hash = match reader.u8()? {
            8 => Hash::Sha256,
            9 => Hash::Sha384,
            10 => Hash::Sha512,
            1 => return Err("the signature uses MD5, which proves nothing".to_owned()),
            2 => return Err("the signature uses SHA-1, which proves nothing".to_owned()),
            other => return Err(format!("the hash algorithm {other} is not supported")),
        };
        let hashed_length = usize::from(reader.u16()?);
        let hashed = reader.bytes(hashed_length)?;
        let unhashed_length = usize::from(reader.u16()?);
        let unhashed = reader.bytes(unhashed_length)?;
        reader.u16()?;
        let value = match algorithm {
            1 | 3 => SignatureValue::Rsa(reader.mpi()?.to_vec()),
            22 => {
                let (r, s) = (reader.mpi()?, reader.mpi()?);
                let joined = [left_padded(r, 32), left_padded(s, 32)].map(Option::unwrap_or_default).concat();
                SignatureValue::Ed25519(
                    joined.try_into().map_err(|_| "the EdDSA signature has a wrong length")?,
                )
            }
            27 => {
                let value = reader.bytes(64)?.try_into();
                SignatureValue::Ed25519(value.map_err(|_| "the Ed25519 signature has a wrong length")?)
            }
            other => return Err(format!("the signature algorithm {other} is not supported")),
        };
        if !reader.0.is_empty() {
            return Err("the signature packet has bytes after the signature".to_owned());
        }
        let signed = &body[..6 + hashed_length];
        let signed_length = u32::try_from(signed.len()).map_err(|_| "the signature packet is too long")?;
        let mut signature = Self {
            kind,
            created: 0,
            valid_for: None,
            key_valid_for: None,
            key_flags: None,
            embedded: None,
            issuer_fingerprint: None,
            issuer_id: None,
            hash,
            trailer: [signed, &[4, 0xFF], &signed_length.to_be_bytes()].concat(),
            value,
        };
        if !signature.read_hashed(hashed)? {
            return Err("the signature does not say when it was made".to_owned());
        }
        signature.read_hints(unhashed)?;
        Ok(signature)
    }

    /// Takes the properties from the signed subpackets; says whether there was a creation time.
    fn read_hashed(&mut self, area: &[u8]) -> Result<bool, String> {
        let mut has_time = false;
        let seconds = |data: &[u8]| Reader(data).u32().map(u64::from);
        for (kind, critical, data) in subpackets(area)? {
            match kind {
                2 if has_time => return Err("the signature names two creation times".to_owned()),
                2 => {
                    self.created = seconds(data)?;
                    has_time = true;
                }
                // Zero means that it does not expire.
                3 => self.valid_for = Some(seconds(data)?).filter(|s| *s != 0),
                9 => self.key_valid_for = Some(seconds(data)?).filter(|s| *s != 0),
                27 => self.key_flags = Some(data.first().copied().unwrap_or(0)),
                16 | 32 | 33 => self.read_hint(kind, data),
                // Preferences, policies and designated revokers, which change nothing about a signature's meaning.
                4 | 7 | 11 | 12 | 21..=26 | 28..=30 | 34 => {}
                other if critical => {
                    return Err(format!(
                        "the signature has a critical subpacket of the unknown type {other}"
                    ));
                }
                _ => {}
            }
        }
        Ok(has_time)
    }

    /// Takes from the unsigned subpackets only what proves itself: the issuer and an embedded signature.
    fn read_hints(&mut self, area: &[u8]) -> Result<(), String> {
        for (kind, _, data) in subpackets(area)? {
            self.read_hint(kind, data);
        }
        Ok(())
    }

    fn read_hint(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (16, id) if self.issuer_id.is_none() && id.len() == 8 => {
                self.issuer_id = Some(hex::encode_upper(id))
            }
            (33, [4, fingerprint @ ..]) if self.issuer_fingerprint.is_none() && fingerprint.len() == 20 => {
                self.issuer_fingerprint = Some(hex::encode_upper(fingerprint));
            }
            (32, embedded) if self.embedded.is_none() => self.embedded = Some(embedded.to_vec()),
            _ => {}
        }
    }

    /// The issuer for messages.
    pub(crate) fn issuer(&self) -> &str {
        self.issuer_fingerprint.as_deref().or(self.issuer_id.as_deref()).unwrap_or("an unnamed key")
    }
}

/// Type, critical bit and data.
type Subpacket<'a> = (u8, bool, &'a [u8]);

/// Splits a subpacket area (RFC 9580, 5.2.3.7).
fn subpackets(area: &[u8]) -> Result<Vec<Subpacket<'_>>, String> {
    let mut reader = Reader(area);
    let mut all = Vec::new();
    while !reader.0.is_empty() {
        let length = match reader.u8()? {
            short @ 0..=191 => usize::from(short),
            first @ 192..=254 => (usize::from(first) - 192) * 256 + usize::from(reader.u8()?) + 192,
            255 => reader.u32()? as usize,
        };
        let (kind, data) = reader.bytes(length)?.split_first().ok_or("a subpacket is empty")?;
        all.push((kind & 0x7F, kind & 0x80 != 0, data));
    }
    Ok(all)
}

/// Puts zeros before a big-endian number; `None` if it is too long.
fn left_padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let zeros = length.checked_sub(number.len())?;
    Some([vec![0; zeros], number.to_vec()].concat())
}

/// Takes values from the front of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.0.split_at_checked(length).ok_or("a packet ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(self.bytes(2)?.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(self.bytes(4)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    /// A multiprecision integer without leading zero bytes (RFC 9580, 3.2).
    fn mpi(&mut self) -> Result<&'a [u8], String> {
        let bits = usize::from(self.u16()?);
        let number = self.bytes(bits.div_ceil(8))?;
        if number.first() == Some(&0) {
            return Err("a number has leading zeros".to_owned());
        }
        Ok(number)
    }
}
