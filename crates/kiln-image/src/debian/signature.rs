//! Cleartext-signed documents (RFC 9580, section 7): how Debian publishes `InRelease`.

use super::keyring::Keyring;
use super::openpgp::{Signature, dearmor, packets};
use crate::ImageError;

/// Largest document in bytes; Debian's have 150 KB.
const DOCUMENT_LIMIT: usize = 32 << 20;
/// More signatures than any archive makes.
const SIGNATURE_LIMIT: usize = 64;
/// The signature type of canonical text (RFC 9580, 5.2.1.2), the only one in cleartext documents.
const TEXT_SIGNATURE: u8 = 0x01;

/// What a good signature vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed text exactly as it was hashed, but with line feeds: no dash-escapes, no white space at line ends.
    pub text: Vec<u8>,
    /// The fingerprint of the key that signed, upper-case hexadecimal.
    pub signer: String,
    /// When it was signed, seconds since 1970, as the signature says.
    pub at: u64,
    /// When the signature stops being valid, seconds since 1970, if it says so. There is no clock here: the caller
    /// compares it with the present.
    pub expires: Option<u64>,
}

/// Checks a cleartext-signed document and returns the signed text.
///
/// One good signature by a key of the keyring is enough; of several, the first good one in the document is reported. Keys must
/// be valid at the time the signature was made; and, where `now` is given (seconds since 1970), so must both the key and the
/// signature be then: who holds an expired key may write any date. SHA-1 and MD5 signatures count for nothing. Text outside the signed
/// block is refused, because a reader could take it for signed.
///
/// # Errors
/// [`ImageError::NotSigned`] if the document has another form, [`ImageError::BadSignature`] with the reason for every
/// signature if none is good.
pub fn verify_cleartext(document: &[u8], keyring: &Keyring, now: Option<u64>) -> Result<Signed, ImageError> {
    let parts = split(document).map_err(|reason| ImageError::NotSigned { reason })?;
    let mut reasons = Vec::new();
    for body in &parts.signatures {
        match check(body, &parts.hashed, keyring, now) {
            Ok((signer, signature)) => {
                return Ok(Signed {
                    text: parts.text,
                    signer,
                    at: signature.created,
                    expires: expires(&signature),
                });
            }
            Err(reason) => reasons.push(reason),
        }
    }
    Err(ImageError::BadSignature { reasons })
}

/// Checks one signature; the error is a fragment for the list of reasons.
fn check(
    body: &[u8],
    hashed: &[u8],
    keyring: &Keyring,
    now: Option<u64>,
) -> Result<(String, Signature), String> {
    let signature = Signature::parse(body)?;
    let issuer = signature.issuer();
    if signature.kind != TEXT_SIGNATURE {
        return Err(format!("the signature by {issuer} is not one over text"));
    }
    let key = keyring
        .keys
        .iter()
        .find(|key| key.key.is_issuer_of(&signature))
        .ok_or_else(|| format!("the key {issuer} is not in the keyring"))?;
    if !key.key.verifies(&signature, hashed) {
        return Err(format!("the signature by {issuer} does not fit the text: the text was changed"));
    }
    if signature.created < key.key.created {
        return Err(format!("the signature by {issuer} is older than the key"));
    }
    if key.expires.is_some_and(|expires| signature.created >= expires) {
        return Err(format!("the key {issuer} had expired when the signature was made"));
    }
    if let Some(now) = now {
        if key.expires.is_some_and(|expires| now >= expires) {
            return Err(format!("the key {issuer} has expired"));
        }
        if expires(&signature).is_some_and(|expires| now >= expires) {
            return Err(format!("the signature by {issuer} has expired"));
        }
    }
    Ok((key.key.fingerprint.clone(), signature))
}

/// When a signature stops being valid, seconds since 1970.
fn expires(signature: &Signature) -> Option<u64> {
    signature.valid_for.map(|seconds| signature.created.saturating_add(seconds))
}

/// A document taken apart.
struct Parts {
    text: Vec<u8>,
    hashed: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

fn split(document: &[u8]) -> Result<Parts, String> {
    if document.len() > DOCUMENT_LIMIT {
        return Err(format!("it is larger than {DOCUMENT_LIMIT} bytes"));
    }
    let document =
        str::from_utf8(document).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()))?;
    let lines: Vec<&str> = document.split('\n').collect();
    let mut at = 0;
    let next = |at: &mut usize| {
        let line = lines.get(*at).copied();
        *at += 1;
        line.ok_or_else(|| format!("it ends early, at line {at}"))
    };
    if next(&mut at)?.trim_end() != "-----BEGIN PGP SIGNED MESSAGE-----" {
        return Err("line 1 is not `-----BEGIN PGP SIGNED MESSAGE-----`".to_owned());
    }
    loop {
        let line = next(&mut at)?.trim_end_matches('\r');
        if line.is_empty() {
            break;
        }
        // Any other header could smuggle text in that looks signed (RFC 9580, 7).
        if !line.starts_with("Hash: ") {
            return Err(format!("line {at}: only `Hash` headers may stand before the text"));
        }
    }
    let (mut text, mut hashed) = (String::new(), String::new());
    loop {
        let line = next(&mut at)?;
        if line.trim_end() == "-----BEGIN PGP SIGNATURE-----" {
            break;
        }
        let line = match line.strip_prefix("- ") {
            Some(rest) => rest,
            None if line.starts_with('-') => {
                return Err(format!("line {at}: the leading dash is not escaped"));
            }
            None => line,
        };
        let line = line.trim_end_matches([' ', '\t', '\r']);
        if !text.is_empty() {
            hashed.push_str("\r\n");
        }
        hashed.push_str(line);
        text.push_str(line);
        text.push('\n');
    }
    let (block, rest) = dearmor(&lines[at - 1..], "PGP SIGNATURE")?;
    if let Some(line) = rest.iter().position(|line| !line.trim().is_empty()) {
        let number = lines.len() - rest.len() + line + 1;
        return Err(format!("line {number}: there is text after the signature"));
    }
    let packets = packets(&block)?;
    if packets.is_empty() || packets.len() > SIGNATURE_LIMIT || packets.iter().any(|packet| packet.tag != 2) {
        return Err(format!(
            "the signature block must hold 1 to {SIGNATURE_LIMIT} signatures and nothing else"
        ));
    }
    Ok(Parts {
        text: text.into_bytes(),
        hashed: hashed.into_bytes(),
        signatures: packets.iter().map(|packet| packet.body.to_vec()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/data/openpgp/", $name))
        };
    }

    const TEXT: &str =
        "Origin: Example\nCodename: test\n- a dash\n-----looks like armor\n\nFrom here\nlast line\n";
    const RSA: &str = "860500894CE7886561ADCB004ED9287E82AD2479";
    const ED25519: &str = "1ADB866EAAEBD5D9D107025145415430F9D78319";

    fn keys() -> Keyring {
        Keyring::parse(fixture!("keys.asc")).unwrap()
    }

    #[track_caller]
    fn check_good(document: &[u8], keyring: &Keyring, signer: &str) {
        let signed = verify_cleartext(document, keyring, None).unwrap();
        assert_eq!(String::from_utf8(signed.text).unwrap(), TEXT);
        assert_eq!((signed.signer.as_str(), signed.at, signed.expires), (signer, 1_717_200_000, None));
    }

    #[track_caller]
    fn check_refused(document: &[u8], keyring: &Keyring, part: &str) {
        let error = verify_cleartext(document, keyring, None).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn good_signatures() {
        check_good(fixture!("rsa-sha256.asc"), &keys(), RSA);
        check_good(fixture!("rsa-sha512.asc"), &keys(), RSA);
        check_good(fixture!("ed25519.asc"), &keys(), ED25519);
        let subkey = Keyring::parse(fixture!("subkey-key.asc")).unwrap();
        check_good(fixture!("subkey.asc"), &subkey, "4BFBC8EAF2DA3A0F32321A5814492F83624CB034");
        assert_eq!(subkey.fingerprints().count(), 1, "the primary key may only certify");
    }

    #[test]
    fn binary_and_joined_keyrings() {
        let binary = Keyring::parse(fixture!("keys.gpg")).unwrap();
        assert_eq!(binary.fingerprints().collect::<Vec<_>>(), [RSA, ED25519]);
        check_good(fixture!("ed25519.asc"), &binary, ED25519);
        let joined = [&fixture!("subkey-key.asc")[..], b"\n", fixture!("keys.asc")].concat();
        assert_eq!(Keyring::parse(&joined).unwrap().fingerprints().count(), 3);
    }

    #[test]
    fn one_good_signature_is_enough() {
        check_good(fixture!("two.asc"), &keys(), ED25519);
    }

    #[test]
    fn line_ends_and_white_space_do_not_count() {
        let document = String::from_utf8(fixture!("ed25519.asc").to_vec()).unwrap();
        check_good(document.replace('\n', "\r\n").as_bytes(), &keys(), ED25519);
        check_good(document.replace("Example\n", "Example \t\n").as_bytes(), &keys(), ED25519);
    }

    #[test]
    fn an_empty_text_can_be_signed() {
        let signed = verify_cleartext(fixture!("empty.asc"), &keys(), None).unwrap();
        assert!(signed.text.iter().all(|byte| *byte == b'\n'));
    }

    #[test]
    fn a_signature_may_be_limited() {
        let signed = verify_cleartext(fixture!("limited.asc"), &keys(), None).unwrap();
        assert_eq!(signed.expires, Some(signed.at + 30 * 86_400));
    }

    #[test]
    fn what_has_expired_now_counts_for_nothing() {
        let judged = |document: &[u8], keyring: &Keyring, now: u64| {
            verify_cleartext(document, keyring, Some(now))
                .map(|signed| signed.signer)
                .map_err(|e| e.to_string())
        };
        let limited = fixture!("limited.asc");
        let at = verify_cleartext(limited, &keys(), None).unwrap().at;
        assert!(judged(limited, &keys(), at + 86_400).is_ok());
        let error = judged(limited, &keys(), at + 31 * 86_400).unwrap_err();
        assert!(error.contains("the signature by") && error.contains("has expired"), "{error}");
        // A key that has expired since: its holder may write any date into a signature.
        let mut keyring = keys();
        for key in keyring.keys.iter_mut().filter(|key| key.key.fingerprint == ED25519) {
            key.expires = Some(1_717_300_000);
        }
        let signed = fixture!("ed25519.asc");
        assert!(judged(signed, &keyring, 1_717_250_000).is_ok());
        let error = judged(signed, &keyring, 1_717_300_000).unwrap_err();
        assert!(error.contains("the key") && error.contains("has expired"), "{error}");
        // Of two signatures, each has its reason.
        let error = judged(fixture!("two.asc"), &keyring, 1_717_300_000).unwrap_err();
        assert!(error.contains("is not in the keyring") && error.contains("has expired"), "{error}");
    }

    #[test]
    fn changed_texts_are_refused() {
        let document = String::from_utf8(fixture!("ed25519.asc").to_vec()).unwrap();
        for (from, to) in [
            ("Origin: Example", "Origin: Exbmple"),
            ("last line\n", "last line\nadded\n"),
            ("last line\n", ""),
            ("- - a dash", "- a dash"),
            ("\n\n- From", "\n- From"),
            ("here", " here"),
        ] {
            assert!(document.contains(from));
            check_refused(document.replacen(from, to, 1).as_bytes(), &keys(), "the text was changed");
        }
    }

    #[test]
    fn keys_that_may_not_be_believed() {
        check_refused(
            fixture!("other.asc"),
            &keys(),
            "9BDE8B3D966D3434FC0568C290B91EFF03C95C04 is not in the keyring",
        );
        check_refused(fixture!("sha1.asc"), &keys(), "SHA-1");
        let expired = Keyring::parse(fixture!("expired-key.asc")).unwrap();
        check_refused(fixture!("expired.asc"), &expired, "had expired");
        let error = Keyring::parse(fixture!("revoked-key.asc")).unwrap_err().to_string();
        assert!(error.contains("revoked"), "{error}");
        // The signature of one key under the name of another.
        let subkey = Keyring::parse(fixture!("subkey-key.asc")).unwrap();
        check_refused(fixture!("ed25519.asc"), &subkey, "not in the keyring");
    }

    #[test]
    fn nothing_but_the_signed_text_is_accepted() {
        let document = String::from_utf8(fixture!("ed25519.asc").to_vec()).unwrap();
        for (changed, part) in [
            (format!("Origin: Hostile\n{document}"), "line 1"),
            (format!("{document}Origin: Hostile\n"), "text after the signature"),
            (format!("{document}{document}"), "text after the signature"),
            (document.replacen("Hash: SHA384", "Origin: Hostile", 1), "only `Hash`"),
            (document.replacen("- -----looks", "-----looks", 1), "not escaped"),
            (document.replace("-----BEGIN PGP SIGNATURE-----", ""), "not escaped"),
            (document.replace("-----END PGP SIGNATURE-----", ""), "is missing"),
            (document.replace("iIoE", "\u{e9}"), "base64"),
            (String::new(), "line 1"),
            ("-----BEGIN PGP SIGNED MESSAGE-----\n\ntext".to_owned(), "ends early"),
        ] {
            check_refused(changed.as_bytes(), &keys(), part);
        }
        check_refused(b"\xff", &keys(), "UTF-8");
    }

    #[test]
    fn no_byte_of_signature_or_keys_can_change_unnoticed_or_panic() {
        let document = fixture!("ed25519.asc");
        let start = document.windows(5).position(|w| w == b"iIoEA").unwrap();
        let end = document.windows(6).position(|w| w == b"\n=ruXz").unwrap();
        let keyring = keys();
        for at in start..end {
            let mut changed = document.to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            if let Ok(signed) = verify_cleartext(&changed, &keyring, None) {
                // Only the unsigned hints and the first bits of the digest may differ.
                assert_eq!((signed.text, signed.signer.as_str()), (TEXT.as_bytes().to_vec(), ED25519));
            }
        }
        let keys = fixture!("keys.gpg");
        for at in 0..keys.len() {
            let mut changed = keys.to_vec();
            changed[at] ^= 0x41;
            if let Ok(keyring) = Keyring::parse(&changed) {
                let known = [RSA, ED25519];
                assert!(keyring.fingerprints().all(|fingerprint| known.contains(&fingerprint)), "{at}");
            }
            let _ = Keyring::parse(&keys[..at]);
        }
    }
}
