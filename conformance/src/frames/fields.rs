//! RFC 7541: blocks of fields, as they are written.

/// The fields that every request has.
pub const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

/// A request with more fields.
pub fn get_with(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET[..], more].concat())
}

/// A request that has content.
pub fn post_with(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&POST[..], more].concat())
}

/// RFC 7541, section 6.2.2: literals that enter no table, with names and values as they are.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

/// One of them.
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    begun_with(0, name, value)
}

/// RFC 7541, section 6.2.3: one that may enter nobody's table.
pub fn never_indexed(name: &[u8], value: &[u8]) -> Vec<u8> {
    begun_with(0x10, name, value)
}

fn begun_with(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    for text in [name, value] {
        bytes.extend(integer(text.len(), 7));
        bytes.extend(text);
    }
    bytes
}

/// RFC 7541, section 5.1, with the bits before the prefix 0.
fn integer(mut number: usize, prefix: u32) -> Vec<u8> {
    let most = 2_usize.pow(prefix) - 1;
    if number < most {
        return vec![number as u8];
    }
    let mut bytes = vec![most as u8];
    number -= most;
    while number >= 128 {
        bytes.push((number % 128 + 128) as u8);
        number /= 128;
    }
    bytes.push(number as u8);
    bytes
}
