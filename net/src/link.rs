//! The way out to the network cards, as the core sees it.
use airglow_device::{Full, NetDevice, NetTx, TxFrame};

/// The transmit halves of a stack's interfaces.
///
/// The core is not generic over devices, so that its code is there once; it sends through this. The async
/// [`Stack`](crate::Stack) puts its devices behind it, a test or a simulation may collect the frames.
pub trait Link {
    /// As [`NetTx::transmit`], on interface number `interface`. [`Full`] also when there is no such interface.
    fn transmit(
        &mut self,
        interface: usize,
        len: usize,
        fill: &mut dyn FnMut(&mut TxFrame<'_>),
    ) -> Result<(), Full>;

    /// As [`NetTx::flush`], in the middle of a turn, to make room in a ring that is shorter than a packet's fragments.
    fn flush(&mut self, interface: usize) {
        let _ = interface;
    }
}

/// The devices of a stack, one of which may just be lending a received frame and so is there only by its transmit half.
pub(crate) struct Ports<'a, D: NetDevice> {
    pub before: &'a mut [D],
    pub lending: Option<&'a mut D::Tx>,
    pub after: &'a mut [D],
    /// Bit `i`: interface `i` has frames that were not flushed.
    pub unflushed: &'a mut u32,
    /// Bit `i`: interface `i` had no room for a frame.
    pub full: &'a mut u32,
}

impl<D: NetDevice> Ports<'_, D> {
    fn tx(&mut self, interface: usize) -> Option<&mut D::Tx> {
        let Some(index) = interface.checked_sub(self.before.len()) else {
            return Some(self.before.get_mut(interface)?.split().1);
        };
        match self.lending.as_deref_mut() {
            Some(tx) if index == 0 => Some(tx),
            Some(_) => Some(self.after.get_mut(index - 1)?.split().1),
            None => Some(self.after.get_mut(index)?.split().1),
        }
    }
}

impl<D: NetDevice> Link for Ports<'_, D> {
    fn transmit(
        &mut self,
        interface: usize,
        len: usize,
        fill: &mut dyn FnMut(&mut TxFrame<'_>),
    ) -> Result<(), Full> {
        let bit = 1u32.checked_shl(interface as u32).unwrap_or(0);
        let sent = self.tx(interface).ok_or(Full)?.transmit(len, |frame| fill(frame));
        match sent {
            Ok(()) => *self.unflushed |= bit,
            Err(Full) => *self.full |= bit,
        }
        sent
    }

    fn flush(&mut self, interface: usize) {
        if let Some(tx) = self.tx(interface) {
            tx.flush();
        }
    }
}
