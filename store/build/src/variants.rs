//! Compression, at its slowest and best: it happens once.
use crate::Codings;
use std::io::{self, Write};

/// A content coding to make variants in.
#[derive(Clone, Copy)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
}

pub(crate) fn wanted(codings: Codings) -> &'static [(Coding, &'static str)] {
    const BROTLI: (Coding, &str) = (Coding::Brotli, ".br");
    const GZIP: (Coding, &str) = (Coding::Gzip, ".gz");
    match codings {
        Codings::All => &[BROTLI, GZIP],
        Codings::Gzip | Codings::GzipOnly => &[GZIP],
        Codings::None => &[],
    }
}

/// `plain`, compressed. The same input always gives the same output: no time and no name is written into it.
pub(crate) fn compress(coding: Coding, plain: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Brotli => {
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: 11,
                lgwin: 22,
                size_hint: plain.len(),
                ..Default::default()
            };
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &plain[..], &mut out, &parameters)?;
            Ok(out)
        }
        Coding::Gzip => {
            let mut encoder = flate2::GzBuilder::new()
                .mtime(0)
                .operating_system(255)
                .write(Vec::new(), flate2::Compression::best());
            encoder.write_all(plain)?;
            encoder.finish()
        }
    }
}
