//! UPDATE requests as they come in, and the replies to them: who signed, and nothing of what is to be done.
use super::{
    Origin, Server, question_only,
    tsig::{self, Checked, Signer},
};
use crate::wire::{Flags, Message, Name, Opcode, Rcode};
use alloc::{boxed::Box, vec::Vec};

/// An UPDATE whose signature, if it has one, is right.
pub struct UpdateRequest {
    message: Vec<u8>,
    signer: Option<Box<Signer>>,
}

impl UpdateRequest {
    /// The request without its signature.
    pub fn message(&self) -> &[u8] {
        &self.message
    }
    /// The name of the key that signed it, in lower case.
    pub fn signed_by(&self) -> Option<Name<'_>> {
        self.signer.as_deref().map(Signer::key_name)
    }
}

impl Server<'_> {
    /// The UPDATE in `query`. `None` for everything else and for one whose signature is wrong: [`Self::respond_to`] has
    /// the reply to those.
    pub fn update_request(&mut self, origin: &Origin<'_>, query: &[u8]) -> Option<UpdateRequest> {
        let flags = Message::new(query).ok()?.flags();
        if flags.has(Flags::QR) || flags.opcode() != Opcode::UPDATE {
            return None;
        }
        let (checked, signed) = tsig::check(query, self.config.keys, origin.now);
        let mut message = query.get(..signed)?.to_vec();
        let signer = match checked {
            Checked::Unsigned => None,
            Checked::Signed(signer) if signer.is_good() => {
                let count = message.get(10..12)?;
                let count = u16::from_be_bytes([count[0], count[1]]).wrapping_sub(1);
                message.get_mut(10..12)?.copy_from_slice(&count.to_be_bytes());
                Some(signer)
            }
            _ => return None,
        };
        self.traffic.stats.received += 1;
        Some(UpdateRequest { message, signer })
    }

    /// Writes the reply to an UPDATE and returns its length; `None` without room.
    pub fn reply_to_update(
        &mut self,
        request: UpdateRequest,
        rcode: Rcode,
        reply: &mut [u8],
    ) -> Option<usize> {
        self.count(Flags(rcode.0));
        let length = question_only(&request.message, reply, Flags(rcode.0))?;
        match request.signer {
            Some(mut signer) => signer.sign(reply, length),
            None => Some(length),
        }
    }
}
