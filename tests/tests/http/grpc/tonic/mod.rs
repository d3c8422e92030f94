//! tonic, as a client and as a server that do what rpc.py does.

mod client;
mod codec;
mod server;

use tonic::metadata::KeyAndValueRef;

pub(super) use client::call;
pub(super) use server::Server;

fn binary() -> Vec<u8> {
    (0..=255).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether metadata is that of the test.
fn is_ours(pair: &KeyAndValueRef<'_>) -> bool {
    let name = match pair {
        KeyAndValueRef::Ascii(name, _) => name.as_str(),
        KeyAndValueRef::Binary(name, _) => name.as_str(),
    };
    name.starts_with("x-") && name != "x-request-id"
}
