//! OCSP responses that a server staples to its certificate.
use airglow_device::WallClock;
use airglow_tls::{
    Authorities, Stapling, Verifier,
    crypto::{PrivateKey, SignatureScheme, Signer},
    wire::{CertificateList, Writer},
};
use std::{sync::LazyLock, time::Duration};

const AUTHORITY: &[u8] = include_bytes!("../keys/ca.der");
/// Of that authority, with the number [`SERIAL`], for `leaf.example`.
const LEAF: &[u8] = include_bytes!("../keys/leaf.der");
const SERIAL: &[u8] = &[2, 2, 0x10, 0x01];
static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_der(include_bytes!("../keys/ca.pkcs8.der")).expect("a key"));
/// The responses of the corpus, in which alone the authority and its delegate say that the certificate is good, and their ResponseData.
static GOOD: LazyLock<Vec<[Vec<u8>; 2]>> = LazyLock::new(|| {
    let corpus = crate::corpus::load("tls_ocsp");
    let good = ["good", "delegated", "sha256", "nonce", "two"].map(|name| format!("{name}.txt"));
    let inputs = corpus.into_iter().filter(|(name, _)| good.contains(name));
    let good = |response: &[u8]| [response, response_data(response).expect("a response")].map(<[u8]>::to_vec);
    inputs.map(|(_, input)| good(&input[1..])).collect()
});

/// Bytes of a response that are looked at; what an extension has room for, without what is added here.
const MOST: usize = 60_000;
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 4;
/// id-pkix-ocsp-basic and ecdsa-with-SHA256, with their tags.
const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const ECDSA: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// A DER element with this content.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    // At most MOST and a little.
    let [high, low] = (content.len() as u16).to_be_bytes();
    match content.len() {
        0..0x80 => [&[tag, low], &content[..]].concat(),
        0x80..0x100 => [&[tag, 0x81, low], &content[..]].concat(),
        _ => [&[tag, 0x82, high, low], &content[..]].concat(),
    }
}

/// The OCSPResponse of what the issuer signs.
fn signed(data: &[u8]) -> Vec<u8> {
    let mut signature = [0; 128];
    let len = KEY.sign(SignatureScheme::ECDSA_SECP256R1_SHA256, data, &mut signature).expect("a signature");
    let algorithm = element(SEQUENCE, &[ECDSA]);
    let basic = element(SEQUENCE, &[data, &algorithm, &element(3, &[&[0], &signature[..len]])]);
    let bytes = element(SEQUENCE, &[BASIC, &element(OCTET_STRING, &[&basic])]);
    element(SEQUENCE, &[&[0x0a, 1, 0], &element(0xa0, &[&bytes])])
}

/// The content of the element at the front, and what is behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([_, len], rest) = bytes.split_first_chunk()?;
    let digits = usize::from(len & 0x7f);
    if len & 0x80 == 0 {
        return rest.split_at_checked(digits);
    }
    let (digits, rest) = rest.split_at_checked(digits)?;
    rest.split_at_checked(digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)))
}

/// The ResponseData of an OCSPResponse, with its tag.
fn response_data(response: &[u8]) -> Option<&[u8]> {
    let (_, bytes) = split(split(response)?.0)?;
    let (_, bytes) = split(split(split(bytes)?.0)?.0)?;
    let basic = split(split(bytes)?.0)?.0;
    basic.get(..basic.len() - split(basic)?.1.len())
}

struct Then;
impl WallClock for Then {
    fn unix_now(&self) -> Option<Duration> {
        // 2027-01-15
        Some(Duration::from_secs(1_800_000_000))
    }
}

/// The first byte odd: the rest is a ResponseData (RFC 6960 section 4.2.1), which the issuer signs. Even: the rest is an
/// OCSPResponse.
///
/// What makes a certificate good was signed by the issuer or its delegate, and has the certificate's number in it.
pub fn tls_ocsp(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    if bytes.len() > MOST {
        return;
    }
    let response: Vec<u8> = if how & 1 == 1 { signed(bytes) } else { bytes.to_vec() };
    let mut out = vec![0; response.len() + LEAF.len() + 64];
    let mut writer = Writer::new(&mut out);
    CertificateList::emit(&mut writer, &[], &[LEAF], Some(&response)).expect("room");
    let list = CertificateList::parse(writer.since(0)).expect("what was written");
    let verify = |stapling| {
        let authorities = Authorities::new(&[AUTHORITY], &Then).expect("an authority");
        authorities.with_stapling(stapling).verify("leaf.example", list.entries())
    };
    let outcome = verify(Stapling::Checked);
    assert_eq!(outcome, verify(Stapling::Required), "there is one");
    let mut good = GOOD.iter().map(|[response, data]| if how & 1 == 1 { data } else { response });
    assert!(outcome.is_ok() || !good.any(|good| bytes == good), "nothing is wrong: {outcome:?}");
    if outcome.is_ok() {
        let has = |part: &[u8]| response.windows(part.len()).any(|window| window == part);
        assert!(has(SERIAL), "it is of this certificate");
        assert!(how & 1 == 1 || GOOD.iter().any(|[_, data]| has(data)), "it is signed");
    }
}
