//! Record types and classes: the IANA registry's mnemonics, RFC 3597 for the rest.
use core::fmt;

/// A record type, query types included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

macro_rules! record_types {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl RecordType {
            $(#[doc = concat!("`", $text, "`")] pub const $name: Self = Self($code);)*

            /// The type's mnemonic, when it has one here.
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self.0 { $($code => Some($text),)* _ => None }
            }

            fn from_mnemonic(text: &[u8]) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($text.as_bytes()) { return Some(Self($code)); })*
                None
            }
        }
    };
}

record_types! {
    A = 1, "A"; NS = 2, "NS"; CNAME = 5, "CNAME"; SOA = 6, "SOA"; PTR = 12, "PTR"; HINFO = 13, "HINFO";
    MX = 15, "MX"; TXT = 16, "TXT"; RP = 17, "RP"; AFSDB = 18, "AFSDB"; SIG = 24, "SIG"; KEY = 25, "KEY";
    AAAA = 28, "AAAA"; LOC = 29, "LOC"; SRV = 33, "SRV"; NAPTR = 35, "NAPTR"; KX = 36, "KX"; CERT = 37, "CERT";
    DNAME = 39, "DNAME"; OPT = 41, "OPT"; APL = 42, "APL"; DS = 43, "DS"; SSHFP = 44, "SSHFP";
    RRSIG = 46, "RRSIG"; NSEC = 47, "NSEC"; DNSKEY = 48, "DNSKEY"; DHCID = 49, "DHCID"; NSEC3 = 50, "NSEC3";
    NSEC3PARAM = 51, "NSEC3PARAM"; TLSA = 52, "TLSA"; SMIMEA = 53, "SMIMEA"; CDS = 59, "CDS";
    CDNSKEY = 60, "CDNSKEY"; OPENPGPKEY = 61, "OPENPGPKEY"; CSYNC = 62, "CSYNC"; ZONEMD = 63, "ZONEMD";
    SVCB = 64, "SVCB"; HTTPS = 65, "HTTPS"; SPF = 99, "SPF"; EUI48 = 108, "EUI48"; EUI64 = 109, "EUI64";
    TSIG = 250, "TSIG"; IXFR = 251, "IXFR"; AXFR = 252, "AXFR"; ANY = 255, "ANY"; URI = 256, "URI"; CAA = 257, "CAA";
}

impl RecordType {
    /// The type that `text` names: a mnemonic in any case, or `TYPE` and a number (RFC 3597 section 5).
    pub fn from_text(text: &[u8]) -> Option<Self> {
        Self::from_mnemonic(text).or_else(|| numbered(text, b"TYPE").map(Self))
    }

    /// A query type or pseudo type, which no zone holds (RFC 6895 section 3.1).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 41 | 128..=255)
    }
}

fn numbered(text: &[u8], prefix: &[u8]) -> Option<u16> {
    let (head, digits) = text.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) || digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let value =
        digits.iter().try_fold(0_u32, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))?;
    u16::try_from(value).ok()
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(text) => f.write_str(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}
impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A record class.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

impl Class {
    /// The Internet.
    pub const IN: Self = Self(1);
    /// Chaosnet, which today carries a server's self-description (`version.bind`).
    pub const CH: Self = Self(3);
    /// Hesiod.
    pub const HS: Self = Self(4);
    /// "Does not exist" in prerequisites and updates (RFC 2136).
    pub const NONE: Self = Self(254);
    /// Any class.
    pub const ANY: Self = Self(255);

    /// The class that `text` names: `IN`, `CH`, `HS`, or `CLASS` and a number (RFC 3597 section 5).
    pub fn from_text(text: &[u8]) -> Option<Self> {
        [(&b"IN"[..], Self::IN), (b"CH", Self::CH), (b"HS", Self::HS)]
            .into_iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map(|(_, class)| class)
            .or_else(|| numbered(text, b"CLASS").map(Self))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IN => f.write_str("IN"),
            Self::CH => f.write_str("CH"),
            Self::HS => f.write_str("HS"),
            Self::NONE => f.write_str("NONE"),
            Self::ANY => f.write_str("ANY"),
            Self(other) => write!(f, "CLASS{other}"),
        }
    }
}
impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_type_number_reads_back() {
        for code in 0..=u16::MAX {
            let text = RecordType(code).to_string();
            assert_eq!(RecordType::from_text(text.as_bytes()), Some(RecordType(code)), "{text}");
            assert_eq!(RecordType::from_text(std::format!("type{code}").as_bytes()), Some(RecordType(code)));
        }
        for bad in ["", "TYPE", "TYPE65536", "TYPE-1", "TYPEx", "NOSUCH"] {
            assert_eq!(RecordType::from_text(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Class::from_text(b"class3"), Some(Class::CH));
    }
}
