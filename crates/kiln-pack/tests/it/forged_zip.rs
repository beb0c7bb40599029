//! Zips that no honest writer would make.

/// One member with every field open to forgery.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) name: Vec<u8>,
    pub(crate) local_name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc32: u32,
    pub(crate) size: u32,
    pub(crate) local_size: u32,
    pub(crate) compressed_size: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) extra: Vec<u8>,
    pub(crate) unix_mode: u32,
    /// Put before the member.
    pub(crate) before: Vec<u8>,
    /// Where the directory says the member is, if not where it is.
    pub(crate) offset: Option<u32>,
}

/// A stored file.
pub(crate) fn stored(name: &str, data: &[u8]) -> Forged {
    let size = u32::try_from(data.len()).unwrap();
    Forged {
        name: name.as_bytes().to_vec(),
        local_name: name.as_bytes().to_vec(),
        flags: 0,
        method: 0,
        crc32: kiln_pack::compress(data).crc32,
        size,
        local_size: size,
        compressed_size: size,
        data: data.to_vec(),
        extra: Vec::new(),
        unix_mode: 0o100_644,
        before: Vec::new(),
        offset: None,
    }
}

pub(crate) fn forge(members: &[Forged]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let put = |out: &mut Vec<u8>, numbers: &[u16]| numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
    for member in members {
        bytes.extend(&member.before);
        let offset = member.offset.unwrap_or(u32::try_from(bytes.len()).unwrap());
        bytes.extend(b"PK\x03\x04");
        put(&mut bytes, &[20, member.flags, member.method, 0, 33]);
        for number in [member.crc32, member.compressed_size, member.local_size] {
            bytes.extend(number.to_le_bytes());
        }
        put(&mut bytes, &[u16::try_from(member.local_name.len()).unwrap(), 0]);
        bytes.extend(&member.local_name);
        bytes.extend(&member.data);

        directory.extend(b"PK\x01\x02");
        put(&mut directory, &[0x314, 20, member.flags, member.method, 0, 33]);
        for number in [member.crc32, member.compressed_size, member.size] {
            directory.extend(number.to_le_bytes());
        }
        let lengths = [&member.name, &member.extra].map(|part| u16::try_from(part.len()).unwrap());
        put(&mut directory, &[lengths[0], lengths[1], 0, 0, 0]);
        directory.extend((member.unix_mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&member.name);
        directory.extend(&member.extra);
    }
    let count = u16::try_from(members.len()).unwrap();
    let start = u32::try_from(bytes.len()).unwrap();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06");
    put(&mut bytes, &[0, 0, count, count]);
    bytes.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    bytes.extend(start.to_le_bytes());
    put(&mut bytes, &[0]);
    bytes
}
