//! Who has how many connections: no address has so many that the others find no room, whether it means harm or has a fault.
//!
//! It deliberately is no authentication; see `clients` for that. An API server behind a proxy shares its address.
//!
//! Invariant: what is kept grows with the number of open connections, and with nothing else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// More than an API server opens, which runs 200 changes at once by default and has a connection for each; and fewer than
/// the reviews that are taken on at once, so that slow bodies of one address leave room for others'.
const MOST_OF_ADDRESS: usize = 384;

/// Open connections by address; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// One more connection of this address, unless it has enough.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Entered> {
        let address = address.to_canonical();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= MOST_OF_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Entered { peers: self.clone(), address })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get_mut(&self.address).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            open.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_OF_ADDRESS, Peers};

    #[test]
    fn one_address_takes_no_room_of_others() {
        let (one, mapped, other) =
            ("10.0.0.1".parse().unwrap(), "::ffff:10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let peers = Peers::default();
        let mut open: Vec<_> = (0..MOST_OF_ADDRESS).map(|_| peers.enter(one).unwrap()).collect();
        assert!(peers.enter(one).is_none() && peers.enter(mapped).is_none());
        drop(peers.enter(other).unwrap());
        open.pop();
        open.push(peers.enter(mapped).unwrap());
        assert!(peers.enter(one).is_none());
        drop(open);
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
