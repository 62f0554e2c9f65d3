//! Random numbers: ChaCha20, keyed at boot from the processor's random number generator and the jitter of its clock.
use super::{single::Single, time};
use airglow_device::Entropy;
use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use core::arch::{asm, x86_64::__cpuid_count};
use sha2::{Digest, Sha256};

static GENERATOR: Single<Option<ChaCha20Rng>> = Single::new(None);

/// What the processor can do.
fn features() -> (bool, bool) {
    let highest = __cpuid_count(0, 0).eax;
    let rdrand = __cpuid_count(1, 0).ecx >> 30 & 1 == 1;
    (rdrand, highest >= 7 && __cpuid_count(7, 0).ebx >> 18 & 1 == 1)
}

macro_rules! draw {
    ($instruction:literal) => {{
        let mut drawn = None;
        // Intel's guide: ten tries for RDRAND; RDSEED may be empty for longer.
        for _ in 0..64 {
            let (value, ok): (u64, u8);
            // SAFETY: the processor has the instruction, as the caller has checked.
            unsafe {
                asm!(concat!($instruction, " {}"), "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack));
            }
            if ok == 1 {
                drawn = Some(value);
                break;
            }
            core::hint::spin_loop();
        }
        drawn
    }};
}

/// Keys the generator. `false`: the processor has no random numbers, so there is nothing that an attacker
/// could not guess.
#[must_use]
pub fn start() -> bool {
    let mut pool = Sha256::new();
    let (rdrand, rdseed) = features();
    let mut drawn = 0;
    for _ in 0..8 {
        if rdseed && let Some(value) = draw!("rdseed") {
            pool.update(value.to_le_bytes());
            drawn += 1;
        }
        if rdrand && let Some(value) = draw!("rdrand") {
            pool.update(value.to_le_bytes());
            drawn += 1;
        }
    }
    // What is not worth counting on, but costs nothing: how long the hypervisor takes for a call, many times.
    for _ in 0..64 {
        super::hypercall::yield_now();
        pool.update(time::ticks().to_le_bytes());
    }
    pool.update(time::system_time().to_le_bytes());
    if drawn < 4 {
        return false;
    }
    let seed: [u8; 32] = pool.finalize().into();
    GENERATOR.with(|generator| *generator = Some(ChaCha20Rng::from_seed(seed)));
    true
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct XenEntropy;

impl Entropy for XenEntropy {
    fn fill(&self, out: &mut [u8]) {
        let filled = GENERATOR.with(|generator| generator.as_mut().map(|g| g.fill_bytes(out)).is_some());
        assert!(
            filled,
            "this processor has no random numbers (RDRAND or RDSEED), and without them nothing is secret"
        );
    }
}
