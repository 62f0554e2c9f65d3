//! ClientHellos in parts, so that each part can be wrong.
use std::{vec, vec::Vec};

/// A ClientHello.
#[derive(Clone)]
pub(super) struct Hello {
    pub(super) version: u16,
    pub(super) session: Vec<u8>,
    pub(super) suites: Vec<u16>,
    pub(super) compression: Vec<u8>,
    pub(super) extensions: Vec<(u16, Vec<u8>)>,
}

/// A list of numbers, its length in front.
pub(super) fn list(numbers: &[u16]) -> Vec<u8> {
    let mut bytes = ((numbers.len() * 2) as u16).to_be_bytes().to_vec();
    numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
    bytes
}

/// A list of shares: group and bytes of each.
pub(super) fn shares(shares: &[(u16, &[u8])]) -> Vec<u8> {
    let mut content = vec![];
    for (group, key) in shares {
        content.extend(group.to_be_bytes());
        content.extend((key.len() as u16).to_be_bytes());
        content.extend_from_slice(key);
    }
    [&(content.len() as u16).to_be_bytes()[..], &content].concat()
}

/// Any number but zero is a public key on X25519.
pub(super) const POINT: [u8; 32] = [9; 32];

impl Hello {
    /// One that knows TLS 1.3.
    pub(super) fn new() -> Self {
        Self {
            version: 0x0303,
            session: vec![],
            suites: vec![0x1301],
            compression: vec![0],
            extensions: vec![
                (43, vec![2, 3, 4]),
                (10, list(&[0x1d])),
                (13, list(&[0x0403])),
                (51, shares(&[(0x1d, &POINT)])),
            ],
        }
    }
    /// One that knows TLS 1.2.
    #[cfg(feature = "tls12")]
    pub(super) fn tls12() -> Self {
        Self {
            suites: vec![0xc02b],
            extensions: vec![
                (23, vec![]),
                (10, list(&[0x1d, 0x17])),
                (13, list(&[0x0403])),
                (11, vec![1, 0]),
                (0xff01, vec![0]),
            ],
            ..Self::new()
        }
    }
    pub(super) fn set(mut self, kind: u16, data: impl Into<Vec<u8>>) -> Self {
        self = self.without(kind);
        self.extensions.push((kind, data.into()));
        self
    }
    pub(super) fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(known, _)| *known != kind);
        self
    }
    /// As it goes over the wire.
    pub(super) fn record(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(self.session.len() as u8);
        body.extend(&self.session);
        body.extend(list(&self.suites));
        body.push(self.compression.len() as u8);
        body.extend(&self.compression);
        let mut extensions = vec![];
        for (kind, data) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            extensions.extend((data.len() as u16).to_be_bytes());
            extensions.extend(data);
        }
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let len = body.len() as u16;
        let mut record = vec![22, 3, 1];
        record.extend((len + 4).to_be_bytes());
        record.extend([1, 0]);
        record.extend(len.to_be_bytes());
        record.extend(body);
        record
    }
}
