//! Certificate and CertificateVerify: RFC 8446 sections 4.4.2 and 4.4.3.
use super::{ExtensionType, Extensions, Malformed, NoRoom, Reader, Writer};

/// A Certificate message.
#[derive(Clone, Copy, Debug)]
pub struct CertificateList<'a> {
    /// Empty but in answers to a request after the handshake.
    pub certificate_request_context: &'a [u8],
    list: &'a [u8],
    /// As TLS 1.2 has it: certificates and nothing beside them.
    #[cfg(feature = "tls12")]
    bare: bool,
    #[cfg(feature = "tls12")]
    status: Option<&'a [u8]>,
}

/// The certificates of a [`CertificateList`], the end entity's first: DER, and the extensions of each.
#[derive(Clone, Debug)]
pub struct CertificateEntries<'a> {
    list: Reader<'a>,
    #[cfg(feature = "tls12")]
    bare: bool,
    #[cfg(feature = "tls12")]
    status: Option<&'a [u8]>,
}

impl<'a> CertificateList<'a> {
    /// Reads the body of a Certificate message.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let certificate_request_context = reader.vector8()?;
        let list = reader.vector24()?;
        reader.end()?;
        let mut entries = Reader::new(list);
        while !entries.is_empty() {
            if entries.vector24()?.is_empty() {
                return Err(Malformed);
            }
            Extensions::parse(entries.vector16()?)?;
        }
        Ok(Self {
            certificate_request_context,
            list,
            #[cfg(feature = "tls12")]
            bare: false,
            #[cfg(feature = "tls12")]
            status: None,
        })
    }
    /// Reads the body of TLS 1.2's Certificate message (RFC 5246 section 7.4.2).
    ///
    /// # Errors
    /// It is not one.
    #[cfg(feature = "tls12")]
    pub fn parse_tls12(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let list = reader.vector24()?;
        reader.end()?;
        let mut entries = Reader::new(list);
        while !entries.is_empty() {
            if entries.vector24()?.is_empty() {
                return Err(Malformed);
            }
        }
        Ok(Self { certificate_request_context: &[], list, bare: true, status: None })
    }
    /// The same with the body of the CertificateStatus that came behind it, as the first certificate's extension.
    #[cfg(feature = "tls12")]
    pub(crate) const fn with_status(self, status: Option<&'a [u8]>) -> Self {
        Self { status, ..self }
    }
    /// The certificates.
    pub const fn entries(&self) -> CertificateEntries<'a> {
        CertificateEntries {
            list: Reader::new(self.list),
            #[cfg(feature = "tls12")]
            bare: self.bare,
            #[cfg(feature = "tls12")]
            status: self.status,
        }
    }
    /// Writes the body of TLS 1.2's message: a chain of DER certificates.
    ///
    /// # Errors
    /// No room.
    #[cfg(feature = "tls12")]
    pub fn emit_tls12(out: &mut Writer<'_>, chain: &[&[u8]]) -> Result<(), NoRoom> {
        let list = out.block(3)?;
        for certificate in chain {
            let entry = out.block(3)?;
            out.bytes(certificate)?;
            out.end(entry)?;
        }
        out.end(list)
    }
    /// Writes a body: a context and a chain of DER certificates, with an OCSP response (RFC 6960, DER) for the first
    /// if there is one.
    ///
    /// # Errors
    /// No room.
    pub fn emit(
        out: &mut Writer<'_>,
        context: &[u8],
        chain: &[&[u8]],
        ocsp: Option<&[u8]>,
    ) -> Result<(), NoRoom> {
        let block = out.block(1)?;
        out.bytes(context)?;
        out.end(block)?;
        let list = out.block(3)?;
        let mut response = ocsp;
        for certificate in chain {
            let entry = out.block(3)?;
            out.bytes(certificate)?;
            out.end(entry)?;
            let extensions = out.block(2)?;
            if let Some(response) = response.take() {
                out.u16(ExtensionType::STATUS_REQUEST.0)?;
                let data = out.block(2)?;
                // ocsp
                out.u8(1)?;
                let status = out.block(3)?;
                out.bytes(response)?;
                out.end(status)?;
                out.end(data)?;
            }
            out.end(extensions)?;
        }
        out.end(list)
    }
}

impl<'a> Iterator for CertificateEntries<'a> {
    type Item = (&'a [u8], Extensions<'a>);
    fn next(&mut self) -> Option<Self::Item> {
        let certificate = self.list.vector24().ok()?;
        #[cfg(feature = "tls12")]
        if self.bare {
            return Some((certificate, Extensions::of_status(self.status.take())));
        }
        let extensions = self.list.vector16().ok()?;
        Some((certificate, Extensions::parse(extensions).ok()?))
    }
}

/// A CertificateVerify message.
#[derive(Clone, Copy, Debug)]
pub struct CertificateVerify<'a> {
    /// The signature scheme.
    pub algorithm: u16,
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> CertificateVerify<'a> {
    /// Reads the body of a CertificateVerify message.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let verify = Self { algorithm: reader.u16()?, signature: reader.vector16()? };
        reader.end()?;
        Ok(verify)
    }
}
