use kiln_pack::{Method, PackError, compress, compress_all, inflate, inflate_checked};
use kiln_record::Digest;
use proptest::prelude::*;

fn refused(stream: &[u8], size: u64, why: &str) {
    match inflate(stream, size) {
        Err(PackError::Content { reason, .. }) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_becomes_smaller_is_deflated() {
    let text = b"abcabcabcabcabcabc".repeat(10);
    let data = compress(&text);
    assert_eq!((data.method, data.size), (Method::Deflate, 180));
    assert_eq!(inflate(&data.stream, 180).unwrap(), text);
    for incompressible in [&b""[..], b"a", b"q7"] {
        let data = compress(incompressible);
        assert_eq!((data.method, data.stream.as_slice()), (Method::Store, incompressible));
    }
}

/// The compressor decides artifact bytes: if this fails, the format version must change with it.
#[test]
fn the_compressor_is_the_one_recorded() {
    let text: String = (0..20_000).map(|i| format!("line {} of {}\n", i * 7919 % 1009, i % 13)).collect();
    let data = compress(text.as_bytes());
    let golden = "sha256:456cc498a52dff4a1f51ede16f558cf5ea1cd68e2fd56478103984115189cb0c";
    assert_eq!(Digest::of(&data.stream).to_string(), golden);
}

#[test]
fn streams_that_are_not_what_they_seem_are_refused() {
    let content = b"some content, some content, some content".repeat(9);
    let (stream, size) = (compress(&content).stream, content.len() as u64);
    refused(&stream, size - 1, "more than");
    refused(&stream, size + 1, "where");
    refused(&stream[..stream.len() - 1], size, "not a valid");
    refused(&[&stream[..], b"\0"].concat(), size, "after the end");
    refused(&[&stream[..], b"smuggled"].concat(), size, "after the end");
    refused(&[&stream[..], &stream[..]].concat(), size, "after the end");
    refused(b"", 0, "not a valid");
    refused(b"\xff\xff\xff", 10, "not a valid");
    // Sixteen exabytes are refused before they are allocated.
    refused(&stream, u64::MAX, "shorter");
    assert_eq!(inflate(b"\x03\x00", 0).unwrap(), b"");
    refused(b"\x03\x00\x00", 0, "after the end");
}

/// Whoever knows the checksum is told the same, and of a stream with its own end inside as well.
#[test]
fn a_known_checksum_changes_nothing_but_the_way() {
    let content = b"some content, some content, some content".repeat(9);
    let (data, size) = (compress(&content), content.len() as u64);
    let end = [data.crc32.to_le_bytes(), u32::try_from(size).unwrap().to_le_bytes()].concat();
    assert_eq!(inflate_checked(&data.stream, size, data.crc32).unwrap(), content);
    let refused = |stream: &[u8], size: u64, crc32: u32, why: &str| match inflate_checked(stream, size, crc32)
    {
        Err(PackError::Content { reason, .. }) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?}"),
    };
    refused(&data.stream, size, data.crc32 ^ 1, "checksum");
    refused(&data.stream, size - 1, data.crc32, "more than");
    refused(&data.stream, size + 1, data.crc32, "where");
    refused(&data.stream[..data.stream.len() - 1], size, data.crc32, "not a valid");
    refused(&data.stream, u64::MAX, data.crc32, "shorter");
    let more = [&end[..], b"more"].concat();
    for smuggled in [&b"\0"[..], b"smuggled", &end, &end[..3], &more, &data.stream] {
        refused(&[&data.stream[..], smuggled].concat(), size, data.crc32, "after the end");
    }
    // A checksum and size of one byte again and again: what is smuggled is what would follow in any case.
    assert_eq!(inflate_checked(b"\x03\x00", 0, 0).unwrap(), b"");
    refused(b"\x03\x00\x00", 0, 0, "after the end");
    // The content's own checksum and size behind the stream, and then what is smuggled, where another checksum is announced.
    let own = [data.crc32.to_le_bytes(), u32::try_from(size).unwrap().to_le_bytes()].concat();
    refused(&[&data.stream[..], &own, b"smuggled"].concat(), size, !data.crc32, "after the end");
    // Bytes that are stored may be any, the end among them.
    let stored = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap();
        [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), content].concat()
    };
    let crc32 = compress(&end).crc32;
    let own_end = [crc32.to_le_bytes(), 8_u32.to_le_bytes()].concat();
    assert_eq!(inflate_checked(&stored(&end), 8, crc32).unwrap(), end);
    refused(&[stored(&end), own_end].concat(), 8, crc32, "after the end");
}

#[test]
fn the_greatest_expansion_is_within_bounds() {
    let zeros = vec![0; 50_000_000];
    let data = compress(&zeros);
    assert!(data.stream.len() > 48_000);
    assert_eq!(inflate(&data.stream, data.size).unwrap(), zeros);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn compression_depends_on_the_content_alone(files in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            proptest::collection::vec(0..4_u8, 0..20_000),
        ], 1..12)) {
        let forward: Vec<_> = files.iter().map(|f| compress(f)).collect();
        let mut backward: Vec<_> = files.iter().rev().map(|f| compress(f)).collect();
        backward.reverse();
        // A fresh thread has a fresh compressor.
        let fresh: Vec<_> = files.iter().map(|f| std::thread::scope(|s| s.spawn(|| compress(f)).join().unwrap())).collect();
        prop_assert_eq!(&forward, &backward);
        prop_assert_eq!(&forward, &fresh);
        prop_assert_eq!(&forward, &compress_all(&files));
        for (data, file) in forward.iter().zip(&files) {
            let content = if data.method == Method::Store { data.stream.clone() } else { inflate(&data.stream, data.size).unwrap() };
            prop_assert_eq!(&content, file);
        }
    }

    #[test]
    fn rubbish_is_refused_or_has_the_size_told(stream in proptest::collection::vec(any::<u8>(), 0..200), size in 0..5000_u64) {
        if let Ok(content) = inflate(&stream, size) {
            prop_assert_eq!(content.len() as u64, size);
        }
    }

    #[test]
    fn one_pass_says_what_two_say(file in proptest::collection::vec(0..3_u8, 0..400), tail in proptest::collection::vec(any::<u8>(), 0..3), at in any::<proptest::sample::Index>()) {
        let data = compress(&file);
        let mut stream = [&data.stream[..], &tail].concat();
        if let Some(byte) = stream.get_mut(at.index(file.len() + 2)) {
            *byte ^= u8::from(tail.len() == 2);
        }
        let expected = inflate(&stream, data.size).ok().filter(|content| compress(content).crc32 == data.crc32);
        prop_assert_eq!(inflate_checked(&stream, data.size, data.crc32).ok(), expected);
    }
}
