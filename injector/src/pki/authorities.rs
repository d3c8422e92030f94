//! What replicas share: the authority that signs, and in the second half of its life the one that will.
//!
//! The stored form is the data of a Secret of type `kubernetes.io/tls`: `tls.crt` and `tls.key` sign, `next.crt` and
//! `next.key` will.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ca, PkiError};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";

/// The shared authorities.
#[derive(Clone)]
pub struct Authorities {
    /// Signs leaves.
    pub signing: Arc<Ca>,
    /// Will sign them as soon as whoever verifies knows it.
    pub next: Option<Arc<Ca>>,
}

impl Authorities {
    /// One that signs, alone.
    pub fn of(signing: Ca) -> Self {
        Self { signing: Arc::new(signing), next: None }
    }

    /// Reads the stored form. A next one that is broken counts as none: rotation makes another.
    pub fn parse(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, PkiError> {
        let ca = |certificate, key| Ca::parse(text(data, certificate)?, text(data, key)?).map(Arc::new);
        Ok(Self { signing: ca(CERTIFICATE, KEY)?, next: ca(NEXT_CERTIFICATE, NEXT_KEY).ok() })
    }

    /// Writes the stored form over another one, whose other keys stay.
    pub fn write(&self, data: &mut BTreeMap<String, Vec<u8>>) {
        let mut put = |key: &str, pem: Option<&str>| match pem {
            Some(pem) => drop(data.insert(key.to_owned(), pem.as_bytes().to_vec())),
            None => drop(data.remove(key)),
        };
        put(CERTIFICATE, Some(self.signing.certificate_pem()));
        put(KEY, Some(self.signing.key_pem()));
        put(NEXT_CERTIFICATE, self.next.as_ref().map(|next| next.certificate_pem()));
        put(NEXT_KEY, self.next.as_ref().map(|next| next.key_pem()));
    }
}

fn text<'a>(data: &'a BTreeMap<String, Vec<u8>>, key: &'static str) -> Result<&'a str, PkiError> {
    let unreadable = |reason| PkiError::Unreadable { what: key, reason };
    let bytes = data.get(key).ok_or_else(|| unreadable("it is missing".to_owned()))?;
    std::str::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::Authorities;
    use crate::pki::{Ca, PkiError};

    fn ca() -> Ca {
        Ca::generate(SystemTime::UNIX_EPOCH, Duration::from_secs(3600)).unwrap()
    }

    #[test]
    fn both_are_read_back_and_a_next_one_goes_when_it_signs() {
        let (signing, next) = (ca(), Arc::new(ca()));
        let both = Authorities { next: Some(next.clone()), ..Authorities::of(signing) };
        let mut data = BTreeMap::from([("ca.crt".to_owned(), b"somebody's".to_vec())]);
        both.write(&mut data);
        let read = Authorities::parse(&data).unwrap();
        assert!(read.signing.is(&both.signing) && read.next.unwrap().is(&next));
        Authorities { signing: next.clone(), next: None }.write(&mut data);
        let read = Authorities::parse(&data).unwrap();
        assert!(read.signing.is(&next) && read.next.is_none());
        assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
    }

    #[test]
    fn what_is_missing_is_named_and_a_broken_next_one_is_none() {
        let mut data = BTreeMap::new();
        let missing = Authorities::parse(&data).err();
        assert!(matches!(missing, Some(PkiError::Unreadable { what: "tls.crt", .. })));
        Authorities::of(ca()).write(&mut data);
        data.insert("next.crt".to_owned(), b"garbage".to_vec());
        assert!(Authorities::parse(&data).unwrap().next.is_none());
        data.insert("tls.key".to_owned(), b"\xff".to_vec());
        let broken = Authorities::parse(&data).err();
        assert!(matches!(broken, Some(PkiError::Unreadable { what: "tls.key", .. })));
    }
}
