//! Whether early data are accepted: RFC 8446 sections 4.2.10 and 8.
use super::{Server, resumption::Chosen};
use crate::crypto::{CipherSuite, Hash, Provider, Transcript};
use core::time::Duration;

/// Early data that is passed over when a client sends it and it is not accepted: one record for each KiB of a first flight.
const PASSED_OVER: usize = 64 * 1024;
/// How far a ticket's age may be from what the client says (RFC 8446 section 8.3: what a slow network does).
const WINDOW: Duration = Duration::from_secs(10);

impl<P: Provider> Server<'_, P> {
    /// Bytes of early data that are taken with the key; 0 when none are.
    pub(super) fn accepts_early_data(&self, psk: &Chosen<'_>, suite: CipherSuite) -> u32 {
        let session = &psk.session;
        let told = Duration::from_millis(psk.age.into());
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.10
        //# In order to accept early data, the server MUST have accepted a PSK
        //# cipher suite and selected the first key offered in the client's
        //# "pre_shared_key" extension.
        let same = psk.index == 0
            && session.suite == suite
            && session.protocol == self.protocol
            && session.server_name == self.server_name
            && session.max_early_data <= self.max_early_data;
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.10
        //# For PSKs provisioned via NewSessionTicket, a server MUST validate that
        //# the ticket age for the selected PSK identity (computed by subtracting
        //# ticket_age_add from PskIdentity.obfuscated_ticket_age modulo 2^32) is
        //# within a small tolerance of the time since the ticket was issued (see
        //# Section 8).
        if same && session.age.abs_diff(told) <= WINDOW { session.max_early_data } else { 0 }
    }

    /// What is passed over of a client that sends early data which are not accepted.
    pub(super) fn pass_over_early_data(&mut self) {
        // A client that was allowed to send so much has it under way, in records of its choice.
        self.early_data = PASSED_OVER.saturating_add(self.config.max_early_data() as usize * 2);
    }

    /// Names the host for tickets.
    pub(super) fn remember_host(&mut self, host: Option<&[u8]>) {
        if let Some(host) = host {
            let mut hash = self.config.provider.hash(Hash::Sha256);
            hash.update(host);
            self.server_name = hash.current().first_chunk().copied().unwrap_or_default();
        }
    }
}
