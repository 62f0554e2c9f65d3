//! The boards that `--on` knows.

/// A board.
#[derive(Debug)]
pub struct Board {
    /// Its name after `--on`.
    pub name: &'static str,
    /// What the compiler calls its processor.
    pub target: &'static str,
    /// The processor.
    pub core: &'static str,
    /// Flash or memory for code, in KiB.
    pub flash: u32,
    /// RAM, in KiB.
    pub ram: u32,
    /// The network controller.
    pub net: &'static str,
    /// How it is checked.
    pub checked: &'static str,
    /// The emulator and its arguments; empty when none models the board.
    pub qemu: &'static [&'static str],
    /// How the network is joined to the emulated controller.
    pub wiring: Wiring,
    /// The largest file, in bytes, that an application compiles into the image; `None` leaves it to the application.
    pub largest_file: Option<u32>,
    /// IPv6 is compiled in. The rule: boards with at least 256 KiB of RAM.
    pub ipv6: bool,
    /// How an image gets into its flash.
    pub flashing: Flashing,
}

/// How an image gets into a board's flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flashing {
    /// Not by `cargo airglow`: a model of an emulator, or a board of which no tool is known.
    Never,
    /// With a debug probe, by `probe-rs`, which knows the chip by this name.
    Probe(&'static str),
    /// By copying a UF2 file of this family to the drive that the board becomes when its button is held at power-up, or with a
    /// debug probe.
    Uf2 {
        /// The chip's number in UF2.
        family: u32,
        /// What `probe-rs` calls the chip.
        chip: &'static str,
    },
}

/// How QEMU joins a network to a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// The controller is part of the board: `-nic`.
    Nic,
    /// A virtio device on the board's bus: `-netdev` and `-device`.
    Virtio,
    /// No emulator models the board.
    None,
}

impl Board {
    /// Its console carries `defmt` frames and not text.
    pub fn defmt(&self) -> bool {
        self.target.starts_with("thumb")
    }

    /// An emulator models it.
    pub fn emulated(&self) -> bool {
        !self.qemu.is_empty()
    }
}

/// All of them.
pub const BOARDS: &[Board] = &[
    Board {
        name: "lm3s6965evb",
        target: "thumbv7m-none-eabi",
        core: "Cortex-M3, 50 MHz",
        flash: 256,
        ram: 64,
        net: "Stellaris MAC",
        checked: "boots in QEMU",
        qemu: &["qemu-system-arm", "-M", "lm3s6965evb"],
        wiring: Wiring::Nic,
        largest_file: None,
        ipv6: false,
        flashing: Flashing::Never,
    },
    Board {
        name: "mps2-an385",
        target: "thumbv7m-none-eabi",
        core: "Cortex-M3, 25 MHz",
        flash: 4096,
        ram: 4096,
        net: "LAN9118",
        checked: "boots in QEMU",
        qemu: &["qemu-system-arm", "-M", "mps2-an385"],
        wiring: Wiring::Nic,
        largest_file: Some(1 << 20),
        ipv6: true,
        flashing: Flashing::Never,
    },
    Board {
        name: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        core: "Cortex-M4, 25 MHz",
        flash: 4096,
        ram: 4096,
        net: "LAN9118",
        checked: "boots in QEMU",
        qemu: &["qemu-system-arm", "-M", "mps2-an386"],
        wiring: Wiring::Nic,
        largest_file: Some(1 << 20),
        ipv6: true,
        flashing: Flashing::Never,
    },
    Board {
        name: "mps2-an500",
        target: "thumbv7em-none-eabihf",
        core: "Cortex-M7, 25 MHz",
        flash: 4096,
        ram: 4096,
        net: "LAN9118",
        checked: "boots in QEMU",
        qemu: &["qemu-system-arm", "-M", "mps2-an500"],
        wiring: Wiring::Nic,
        largest_file: Some(1 << 20),
        ipv6: true,
        flashing: Flashing::Never,
    },
    Board {
        name: "mps2-an505",
        target: "thumbv8m.main-none-eabihf",
        core: "Cortex-M33, 20 MHz",
        flash: 4096,
        ram: 4096,
        net: "LAN9118",
        checked: "boots in QEMU",
        qemu: &["qemu-system-arm", "-M", "mps2-an505"],
        wiring: Wiring::Nic,
        largest_file: Some(1 << 20),
        ipv6: true,
        flashing: Flashing::Never,
    },
    Board {
        name: "virt-aarch64",
        target: "aarch64-unknown-none",
        core: "Cortex-A53",
        flash: 0,
        ram: 65536,
        net: "virtio-net",
        checked: "boots in QEMU",
        qemu: &[
            "qemu-system-aarch64",
            "-M",
            "virt",
            "-cpu",
            "cortex-a53",
            "-m",
            "64",
            "-global",
            "virtio-mmio.force-legacy=false",
        ],
        wiring: Wiring::Virtio,
        largest_file: None,
        ipv6: true,
        flashing: Flashing::Never,
    },
    Board {
        name: "w5500-evb-pico",
        target: "thumbv6m-none-eabi",
        core: "RP2040, Cortex-M0+, 125 MHz",
        flash: 2048,
        ram: 264,
        net: "W5500 over SPI",
        checked: "links; driver against a model of the W5500",
        qemu: &[],
        wiring: Wiring::None,
        largest_file: Some(256 << 10),
        ipv6: true,
        flashing: Flashing::Uf2 { family: 0xe48b_ff56, chip: "RP2040" },
    },
    Board {
        name: "w5500-evb-pico2",
        target: "thumbv8m.main-none-eabihf",
        core: "RP2350, Cortex-M33, 125 MHz",
        flash: 2048,
        ram: 512,
        net: "W5500 over SPI",
        checked: "links; driver against a model of the W5500",
        qemu: &[],
        wiring: Wiring::None,
        largest_file: Some(256 << 10),
        ipv6: true,
        flashing: Flashing::Uf2 { family: 0xe48b_ff59, chip: "RP235x" },
    },
    Board {
        name: "nucleo-f429zi",
        target: "thumbv7em-none-eabihf",
        core: "STM32F429, Cortex-M4, 168 MHz",
        flash: 2048,
        ram: 192,
        net: "STM32 Ethernet",
        checked: "links",
        qemu: &[],
        wiring: Wiring::None,
        largest_file: Some(256 << 10),
        ipv6: false,
        flashing: Flashing::Probe("STM32F429ZITx"),
    },
    Board {
        name: "nucleo-h743zi",
        target: "thumbv7em-none-eabihf",
        core: "STM32H743, Cortex-M7, 400 MHz",
        flash: 2048,
        ram: 512,
        net: "STM32 Ethernet",
        checked: "links",
        qemu: &[],
        wiring: Wiring::None,
        largest_file: Some(256 << 10),
        ipv6: true,
        flashing: Flashing::Probe("STM32H743ZITx"),
    },
];

/// The board `name`.
pub fn find(name: &str) -> Option<&'static Board> {
    BOARDS.iter().find(|board| board.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The platform's linker scripts come from a list of its own: it knows addresses, this one what a person wants to know.
    #[test]
    fn the_platform_knows_the_same_boards() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../platform-arm/build.rs");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, list) = text.split_once("const BOARDS").unwrap();
        let (list, _) = list.split_once("\n];").unwrap();
        let entries: Vec<_> = list.split("    Board {").skip(1).collect();
        let word = |entry: &str, key: &str| {
            let (_, rest) = entry.split_once(&format!("{key}: \"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let kib = |entry: &str, key: &str| {
            let (_, rest) = entry.split_once(&format!("{key}: (")).unwrap();
            let (_, rest) = rest.split_once(", ").unwrap();
            rest.split_once(" * KIB").unwrap().0.parse::<u32>().unwrap()
        };
        let theirs: Vec<_> = entries
            .iter()
            .map(|e| (word(e, "name"), word(e, "target"), kib(e, "flash"), kib(e, "ram")))
            .collect();
        let ours: Vec<_> = BOARDS
            .iter()
            // Its image is in RAM, and its script written by hand.
            .filter(|board| board.defmt())
            .map(|board| (board.name.to_owned(), board.target.to_owned(), board.flash, board.ram))
            .collect();
        assert_eq!(theirs, ours);
    }
}
