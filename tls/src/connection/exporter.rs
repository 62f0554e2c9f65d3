//! Secrets for the application: RFC 8446 section 7.5.
use super::{Connection, Role};
use crate::{
    crypto::{Hash, Provider, Secret, Transcript},
    key_schedule::expand_label,
};

/// What exported secrets are made from (RFC 8446 section 7.5).
#[derive(Debug)]
pub struct Exporter {
    pub(crate) hash: Hash,
    pub(crate) secret: Secret,
    /// In TLS 1.2, the randoms of both sides, the client's first (RFC 5705 section 4).
    #[cfg(feature = "tls12")]
    pub(crate) randoms: Option<[u8; 64]>,
}

impl Exporter {
    /// TLS 1.3's.
    pub(crate) const fn new(hash: Hash, secret: Secret) -> Self {
        Self {
            hash,
            secret,
            #[cfg(feature = "tls12")]
            randoms: None,
        }
    }
}

impl<R: Role<P>, P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<R, P, B> {
    /// A secret that both sides share and nobody else (RFC 8446 section 7.5), of `len` bytes, at most the 32 or 48
    /// of the suite's hash; `None` when it is more, or before the handshake is done.
    pub fn export(&self, label: &[u8], context: &[u8], len: usize) -> Option<Secret> {
        self.export_from(self.role.exporter().filter(|_| self.connected)?, label, context, len)
    }
    /// The same for early data (the `early_exporter_secret`): whoever replays early data replays it too. `None` unless
    /// early data were offered by a client or accepted by a server.
    pub fn export_early(&self, label: &[u8], context: &[u8], len: usize) -> Option<Secret> {
        self.export_from(self.role.early_exporter()?, label, context, len)
    }
    fn export_from(&self, exporter: &Exporter, label: &[u8], context: &[u8], len: usize) -> Option<Secret> {
        let (provider, hash) = (self.role.provider(), exporter.hash);
        if len > hash.len() {
            return None;
        }
        #[cfg(feature = "tls12")]
        if let Some(randoms) = &exporter.randoms {
            let said = [label, context];
            return Some(crate::tls12::export(provider, hash, &exporter.secret, randoms, said, len));
        }
        let mut digest = provider.hash(hash);
        let empty = digest.current();
        digest.update(context);
        let secret = expand_label(provider, hash, &exporter.secret, label, &empty, hash.len());
        Some(expand_label(provider, hash, &secret, b"exporter", &digest.current(), len))
    }
}
