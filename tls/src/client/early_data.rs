//! What a client sends before it has heard from the server: RFC 8446 section 4.2.10.
use super::{Client, first_hash};
use crate::{
    Alert, Error,
    connection::{Connection, Exporter, Flight},
    crypto::{Provider, Transcript},
    key_schedule::KeySchedule,
    outgoing::emit_message,
    sessions::Session,
    verifier::Verifier,
    wire::{HandshakeType, Writer},
};

/// Most bytes of early data that are sent: no more records than one key is good for.
const MOST: u32 = 1 << 24;

/// Early data that were offered and not yet refused or ended.
pub(super) struct Early {
    /// Bytes that may still be sent.
    left: u32,
    /// What the session's protocol was, which must be chosen again.
    pub(super) protocol: Option<u8>,
}

impl<P: Provider, V: Verifier> Client<'_, P, V> {
    /// The hello that offers early data is written: they are protected from here on.
    pub(super) fn start_early_data<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        session: &Session,
        hellos: &[P::Transcript; 2],
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        let (provider, suite) = (&self.config.provider, session.suite);
        let schedule = KeySchedule::early(provider, suite.hash(), Some(&session.psk));
        let hash = first_hash::<P>(hellos, suite).current();
        let traffic = schedule.derive(b"c e traffic", &hash);
        let exporter = schedule.derive(b"e exp master", &hash);
        self.log("CLIENT_EARLY_TRAFFIC_SECRET", &traffic);
        self.log("EARLY_EXPORTER_SECRET", &exporter);
        out.0.change_cipher_spec()?;
        out.0.limit(session.record_limit.into());
        out.0.protect_with(provider, suite, traffic)?;
        self.early_exporter = Some(Exporter::new(suite.hash(), exporter));
        self.early = Some(Early { left: session.max_early_data.min(MOST), protocol: session.protocol });
        Ok(())
    }

    /// The server's Finished has come: there will be no more.
    pub(super) fn end_early_data<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        transcript: &mut P::Transcript,
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        self.early = None;
        out.0.handshake(|out: &mut Writer<'_>| {
            let start = out.len();
            emit_message(out, HandshakeType::END_OF_EARLY_DATA, |_| Ok(()))?;
            transcript.update(out.since(start));
            Ok(())
        })
    }
}

impl<P: Provider, V: Verifier, B: AsRef<[u8]> + AsMut<[u8]>> Connection<Client<'_, P, V>, P, B> {
    /// Bytes that [`write_early`](Self::write_early) may still take: 0 when early data were not offered, were refused or
    /// have ended, which they do as soon as the server's part of the handshake has come.
    pub fn early_data_left(&self) -> u32 {
        self.role.early.as_ref().map_or(0, |early| early.left)
    }
    /// Protects the front of `bytes` as one record of early data; how many it took. 0 means that
    /// [`output`](Connection::output) must be sent first, or that [`early_data_left`](Self::early_data_left) is 0.
    /// Whether the server took them is [known](Connection::early_data_accepted) once connected; if it did not, they must
    /// be [written](Connection::write) again.
    ///
    /// # Errors
    /// The connection has failed, or was closed.
    pub fn write_early(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.check_open()?;
        let Some(early) = &mut self.role.early else { return Ok(0) };
        // The other half is for the handshake.
        let room = (self.outgoing.capacity() / 2).saturating_sub(self.outgoing.pending().len());
        let len = bytes.len().min(room).min(early.left as usize);
        let written = self.outgoing.write(&self.role.config.provider, bytes.get(..len).unwrap_or_default());
        match written {
            Ok(written) => {
                early.left -= written as u32;
                Ok(written)
            }
            Err(alert) => Err(self.fail(alert)),
        }
    }
}
