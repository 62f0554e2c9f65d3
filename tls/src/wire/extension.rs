//! Extensions: RFC 8446 section 4.2. Unknown ones are passed over, GREASE (RFC 8701) with them.
use super::{Malformed, Reader};

/// What an extension is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionType(pub u16);

impl ExtensionType {
    /// RFC 6066 section 3.
    pub const SERVER_NAME: Self = Self(0);
    /// RFC 6066 section 8: an OCSP response with the certificate.
    pub const STATUS_REQUEST: Self = Self(5);
    /// Section 4.2.7.
    pub const SUPPORTED_GROUPS: Self = Self(10);
    /// RFC 8422 section 5.1.2.
    pub const EC_POINT_FORMATS: Self = Self(11);
    /// Section 4.2.3.
    pub const SIGNATURE_ALGORITHMS: Self = Self(13);
    /// RFC 7301.
    pub const APPLICATION_LAYER_PROTOCOL_NEGOTIATION: Self = Self(16);
    /// RFC 7250: what a client can show.
    pub const CLIENT_CERTIFICATE_TYPE: Self = Self(19);
    /// RFC 7250: what a server can show.
    pub const SERVER_CERTIFICATE_TYPE: Self = Self(20);
    /// RFC 7627.
    pub const EXTENDED_MASTER_SECRET: Self = Self(23);
    /// RFC 8879.
    pub const COMPRESS_CERTIFICATE: Self = Self(27);
    /// RFC 8449.
    pub const RECORD_SIZE_LIMIT: Self = Self(28);
    /// RFC 5077: a ticket of TLS 1.2, or that one is wanted.
    pub const SESSION_TICKET: Self = Self(35);
    /// Section 4.2.11.
    pub const PRE_SHARED_KEY: Self = Self(41);
    /// Section 4.2.10.
    pub const EARLY_DATA: Self = Self(42);
    /// Section 4.2.1.
    pub const SUPPORTED_VERSIONS: Self = Self(43);
    /// Section 4.2.2.
    pub const COOKIE: Self = Self(44);
    /// Section 4.2.9.
    pub const PSK_KEY_EXCHANGE_MODES: Self = Self(45);
    /// Section 4.2.4.
    pub const CERTIFICATE_AUTHORITIES: Self = Self(47);
    /// Section 4.2.6.
    pub const POST_HANDSHAKE_AUTH: Self = Self(49);
    /// Section 4.2.8.
    pub const KEY_SHARE: Self = Self(51);
    /// RFC 5746.
    pub const RENEGOTIATION_INFO: Self = Self(0xff01);
}

/// One extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is.
    pub kind: ExtensionType,
    /// Its `extension_data`.
    pub data: &'a [u8],
}

/// A checked block of extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions<'a> {
    block: &'a [u8],
    /// TLS 1.2's CertificateStatus, whose body is what the extension `status_request` holds in TLS 1.3.
    #[cfg(feature = "tls12")]
    status: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// Checks the content of a block (without its length).
    ///
    /// # Errors
    /// An extension runs past the end.
    pub fn parse(block: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(block);
        while !reader.is_empty() {
            reader.u16()?;
            reader.vector16()?;
        }
        Ok(Self {
            block,
            #[cfg(feature = "tls12")]
            status: None,
        })
    }
    /// None but a `status_request` that came in a message of its own.
    #[cfg(feature = "tls12")]
    pub(crate) const fn of_status(status: Option<&'a [u8]>) -> Self {
        Self { block: &[], status }
    }
    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Extension<'a>> + Clone {
        let mut reader = Reader::new(self.block);
        let listed = core::iter::from_fn(move || {
            let kind = ExtensionType(reader.u16().ok()?);
            Some(Extension { kind, data: reader.vector16().ok()? })
        });
        #[cfg(feature = "tls12")]
        let listed = {
            let kind = ExtensionType::STATUS_REQUEST;
            self.status.map(|data| Extension { kind, data }).into_iter().chain(listed)
        };
        listed
    }
    /// The data of the first of this type.
    pub fn find(self, kind: ExtensionType) -> Option<&'a [u8]> {
        self.iter().find(|extension| extension.kind == kind).map(|extension| extension.data)
    }
    /// Whether a type comes twice (RFC 8446 section 4.2 forbids it). Takes the square of the number of
    /// extensions, which is bounded by the longest handshake message; beyond 64 it answers `true`.
    pub fn has_duplicates(self) -> bool {
        let mut seen = [0_u16; 64];
        for (index, extension) in self.iter().enumerate() {
            let (before, rest) = seen.split_at_mut(index.min(64));
            if before.contains(&extension.kind.0) {
                return true;
            }
            match rest.first_mut() {
                Some(place) => *place = extension.kind.0,
                None => return true,
            }
        }
        false
    }
    /// The type of the last one.
    pub fn last(self) -> Option<ExtensionType> {
        self.iter().last().map(|extension| extension.kind)
    }
}

/// A vector of 16-bit numbers: cipher suites, groups, signature schemes, versions.
#[derive(Clone, Copy, Debug, Default)]
pub struct U16List<'a>(&'a [u8]);

impl<'a> U16List<'a> {
    /// The content of the vector, without its length.
    ///
    /// # Errors
    /// It is empty or odd.
    pub const fn new(content: &'a [u8]) -> Result<Self, Malformed> {
        if content.is_empty() || content.len() & 1 == 1 { Err(Malformed) } else { Ok(Self(content)) }
    }
    /// Extension data that are one such vector with a length of two bytes.
    ///
    /// # Errors
    /// They are not.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let content = reader.vector16()?;
        reader.end()?;
        Self::new(content)
    }
    /// Extension data that are one such vector with a length of one byte.
    ///
    /// # Errors
    /// They are not.
    pub fn parse8(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let content = reader.vector8()?;
        reader.end()?;
        Self::new(content)
    }
    /// The numbers.
    pub fn iter(self) -> impl Iterator<Item = u16> + Clone {
        self.0.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
    }
    /// Whether `value` is one of them.
    pub fn contains(self, value: u16) -> bool {
        self.iter().any(|other| other == value)
    }
}

/// The entries of a ClientHello's `key_share` (RFC 8446 section 4.2.8).
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyShares<'a>(&'a [u8]);

impl<'a> KeyShares<'a> {
    /// Checks the extension's data.
    ///
    /// # Errors
    /// They are not a vector of entries, or a key is empty.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let content = reader.vector16()?;
        reader.end()?;
        let mut entries = Reader::new(content);
        while !entries.is_empty() {
            entries.u16()?;
            if entries.vector16()?.is_empty() {
                return Err(Malformed);
            }
        }
        Ok(Self(content))
    }
    /// Group and public key of each.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || Some((reader.u16().ok()?, reader.vector16().ok()?)))
    }
}

/// Names of application protocols (RFC 7301 section 3.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtocolNames<'a>(&'a [u8]);

impl<'a> ProtocolNames<'a> {
    /// Checks the extension's data.
    ///
    /// # Errors
    /// They are not a vector of names, there is none, or one is empty.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let content = reader.vector16()?;
        reader.end()?;
        let mut names = Reader::new(content);
        while !names.is_empty() {
            if names.vector8()?.is_empty() {
                return Err(Malformed);
            }
        }
        if content.is_empty() { Err(Malformed) } else { Ok(Self(content)) }
    }
    /// The names, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || reader.vector8().ok())
    }
}

/// The identities and binders of a ClientHello's `pre_shared_key` (RFC 8446 section 4.2.11).
#[derive(Clone, Copy, Debug)]
pub struct OfferedPsks<'a> {
    identities: Reader<'a>,
    binders: Reader<'a>,
    /// Bytes at the end of the ClientHello that the binders do not cover: themselves and their length.
    pub binders_len: usize,
}

impl<'a> OfferedPsks<'a> {
    /// Checks the extension's data.
    ///
    /// # Errors
    /// They are not as many identities as binders, one or more; an identity is empty, a binder shorter than 32 bytes.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let identities = Reader::new(reader.vector16()?);
        let binders_len = reader.rest().len();
        let binders = Reader::new(reader.vector16()?);
        reader.end()?;
        let (mut identity, mut binder) = (identities, binders);
        while !identity.is_empty() {
            if identity.vector16()?.is_empty() || identity.take(4)?.is_empty() || binder.vector8()?.len() < 32
            {
                return Err(Malformed);
            }
        }
        binder.end()?;
        if identities.is_empty() { Err(Malformed) } else { Ok(Self { identities, binders, binders_len }) }
    }
    /// Identity, obfuscated age in milliseconds and binder of each.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], u32, &'a [u8])> + Clone {
        let (mut identities, mut binders) = (self.identities, self.binders);
        core::iter::from_fn(move || {
            let identity = identities.vector16().ok()?;
            let age = u32::from_be_bytes(*identities.array().ok()?);
            Some((identity, age, binders.vector8().ok()?))
        })
    }
}
