//! What the domain builder tells the guest (`xen.h`, `struct start_info`).

/// The page whose address is in `rsi` when the guest starts.
#[repr(C)]
#[derive(Debug)]
pub struct StartInfo {
    /// `xen-<version>-<platform>`.
    pub magic: [u8; 32],
    /// Pages of this domain.
    pub nr_pages: u64,
    /// Machine address of the shared information page.
    pub shared_info: u64,
    /// [`StartInfo::INITIAL_DOMAIN`] and others.
    pub flags: u32,
    /// Machine frame of xenstore's ring.
    pub store_mfn: u64,
    /// Its event channel.
    pub store_evtchn: u32,
    /// Machine frame of the console's ring.
    pub console_mfn: u64,
    /// Its event channel.
    pub console_evtchn: u32,
    /// Virtual address of the top page table.
    pub pt_base: u64,
    /// Pages of tables from there on.
    pub nr_pt_frames: u64,
    /// Virtual address of the list of machine frames, one for each of the domain's pages.
    pub mfn_list: u64,
    /// Virtual address of the module (initrd), or 0.
    pub mod_start: u64,
    /// Its bytes.
    pub mod_len: u64,
    /// The command line, ended by a zero byte.
    pub cmd_line: [u8; 1024],
    /// First pseudo-physical frame of the list when it is not in the initial mapping.
    pub first_p2m_pfn: u64,
    /// Pages of the list.
    pub nr_p2m_frames: u64,
}

impl StartInfo {
    /// This is dom0: its console is a hypercall and it has no xenstore.
    pub const INITIAL_DOMAIN: u32 = 2;

    /// The command line as text; what is not UTF-8 ends it.
    pub fn command_line(&self) -> &str {
        let end = self.cmd_line.iter().position(|&b| b == 0).unwrap_or(self.cmd_line.len());
        let bytes = self.cmd_line.get(..end).unwrap_or_default();
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes
                .get(..error.valid_up_to())
                .and_then(|valid| core::str::from_utf8(valid).ok())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    // Offsets as the C compiler lays the header out for x86_64.
    #[test]
    fn layout_is_the_headers() {
        assert_eq!(offset_of!(StartInfo, nr_pages), 32);
        assert_eq!(offset_of!(StartInfo, flags), 48);
        assert_eq!(offset_of!(StartInfo, store_mfn), 56);
        assert_eq!(offset_of!(StartInfo, console_mfn), 72);
        assert_eq!(offset_of!(StartInfo, pt_base), 88);
        assert_eq!(offset_of!(StartInfo, cmd_line), 128);
        assert_eq!(offset_of!(StartInfo, first_p2m_pfn), 1152);
    }
}
