//! The linker script of the board that `AIRGLOW_BOARD` names.
use std::{env, fs, path::Path};

/// A board's memories: start and size in bytes.
struct Board {
    name: &'static str,
    target: &'static str,
    flash: (u32, u32),
    /// How much of the flash, at its end, the image leaves free: the disk that an application finds there. Only where there is a driver.
    kept: u32,
    ram: (u32, u32),
    /// How much of the RAM, from its start, is the stack. It grows down and out of the RAM, so that an
    /// overflow is a fault and never another variable.
    stack: u32,
    /// Its driver is of the embassy project: `--cfg airglow_board="NAME"` must be among the compiler's flags, for which
    /// `cargo airglow` sees, because cargo picks that driver's crates by it.
    embassy: bool,
    /// What a boot program wants to find at the start of the flash.
    boot: Boot,
}

#[derive(PartialEq)]
enum Boot {
    /// Nothing: the vector table lies there.
    None,
    /// RP2040: 256 bytes of a second stage in front of the vector table.
    SecondStage,
    /// RP2350: a block that describes the image, behind the vector table.
    Block,
}

const KIB: u32 = 1024;

const BOARDS: &[Board] = &[
    Board {
        name: "lm3s6965evb",
        target: "thumbv7m-none-eabi",
        flash: (0, 256 * KIB),
        kept: 0,
        ram: (0x2000_0000, 64 * KIB),
        stack: 40_000,
        embassy: false,
        boot: Boot::None,
    },
    Board {
        name: "mps2-an385",
        target: "thumbv7m-none-eabi",
        flash: (0, 4096 * KIB),
        kept: 0,
        ram: (0x2000_0000, 4096 * KIB),
        stack: 128 * KIB,
        embassy: false,
        boot: Boot::None,
    },
    Board {
        name: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        flash: (0, 4096 * KIB),
        kept: 0,
        ram: (0x2000_0000, 4096 * KIB),
        stack: 128 * KIB,
        embassy: false,
        boot: Boot::None,
    },
    Board {
        name: "mps2-an500",
        target: "thumbv7em-none-eabihf",
        flash: (0, 4096 * KIB),
        kept: 0,
        ram: (0x2000_0000, 4096 * KIB),
        stack: 128 * KIB,
        embassy: false,
        boot: Boot::None,
    },
    Board {
        name: "mps2-an505",
        target: "thumbv8m.main-none-eabihf",
        flash: (0x1000_0000, 4096 * KIB),
        kept: 0,
        ram: (0x3800_0000, 4096 * KIB),
        stack: 128 * KIB,
        embassy: false,
        boot: Boot::None,
    },
    Board {
        name: "w5500-evb-pico",
        target: "thumbv6m-none-eabi",
        flash: (0x1000_0000, 2048 * KIB),
        kept: 64 * KIB,
        ram: (0x2000_0000, 264 * KIB),
        stack: 64 * KIB,
        embassy: true,
        boot: Boot::SecondStage,
    },
    Board {
        name: "w5500-evb-pico2",
        target: "thumbv8m.main-none-eabihf",
        flash: (0x1000_0000, 2048 * KIB),
        kept: 0,
        ram: (0x2000_0000, 512 * KIB),
        stack: 64 * KIB,
        embassy: true,
        boot: Boot::Block,
    },
    Board {
        name: "nucleo-f429zi",
        target: "thumbv7em-none-eabihf",
        flash: (0x0800_0000, 2048 * KIB),
        kept: 0,
        ram: (0x2000_0000, 192 * KIB),
        stack: 64 * KIB,
        embassy: true,
        boot: Boot::None,
    },
    Board {
        name: "nucleo-h743zi",
        target: "thumbv7em-none-eabihf",
        flash: (0x0800_0000, 2048 * KIB),
        kept: 0,
        // AXI SRAM, which the Ethernet controller reaches; the tightly coupled memory it does not.
        ram: (0x2400_0000, 512 * KIB),
        stack: 64 * KIB,
        embassy: true,
        boot: Boot::None,
    },
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AIRGLOW_BOARD");
    let names: Vec<_> =
        BOARDS.iter().map(|b| format!("{:?}", b.name)).chain(["\"virt-aarch64\"".into()]).collect();
    println!("cargo::rustc-check-cfg=cfg(board, values({}))", names.join(", "));
    println!("cargo::rustc-check-cfg=cfg(embassy_time)");
    println!("cargo::rustc-check-cfg=cfg(has_flash)");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let out = env::var("OUT_DIR").unwrap_or_default();
    let out = Path::new(&out);
    println!("cargo::rustc-link-search={}", out.display());
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("aarch64") {
        println!("cargo::rustc-cfg=board=\"virt-aarch64\"");
        println!("cargo::rustc-cfg=has_flash");
        println!("cargo::rerun-if-changed=src/aarch64/virt.ld");
        let script = fs::read_to_string("src/aarch64/virt.ld").unwrap_or_default();
        write(&out.join("airglow.ld"), &script);
        return;
    }
    let target = env::var("TARGET").unwrap_or_default();
    let board = env::var("AIRGLOW_BOARD").ok();
    let board = BOARDS
        .iter()
        .find(|b| board.as_deref().is_none_or(|name| name == b.name) && b.target == target)
        .unwrap_or_else(|| panic!("AIRGLOW_BOARD={board:?} is no board of the target {target}"));
    println!("cargo::rustc-cfg=board=\"{}\"", board.name);
    if board.embassy {
        // Its driver has a background task and deadlines.
        if board.name.starts_with("w5500") {
            println!("cargo::rustc-cfg=embassy_time");
        }
        assert!(
            env::var("CARGO_CFG_AIRGLOW_BOARD").as_deref() == Ok(board.name),
            "{0} needs --cfg airglow_board=\"{0}\" among the compiler's flags; `cargo airglow build --on {0}` sees to it",
            board.name
        );
    }
    if board.kept > 0 {
        println!("cargo::rustc-cfg=has_flash");
    }
    let (mut flash, ram) = ((board.flash.0, board.flash.1 - board.kept), board.ram);
    let mut boot = "";
    match board.boot {
        Boot::None => {}
        Boot::SecondStage => {
            flash = (flash.0 + 0x100, flash.1 - 0x100);
            boot = "SECTIONS { .boot2 ORIGIN(FLASH) - 0x100 : { KEEP(*(.boot2)) } > BOOT2 } INSERT BEFORE .vector_table;\n";
        }
        Boot::Block => {
            boot = "SECTIONS { .start_block : ALIGN(4) { KEEP(*(.start_block)) } > FLASH } INSERT AFTER .vector_table;\n\
                    _stext = ADDR(.start_block) + SIZEOF(.start_block);\n";
        }
    }
    let second_stage = match board.boot {
        Boot::SecondStage => format!("  BOOT2 : ORIGIN = {:#x}, LENGTH = 256\n", board.flash.0),
        _ => String::new(),
    };
    write(
        &out.join("memory.x"),
        &format!(
            "/* {}: the stack lies below all variables and grows out of the RAM. */\n\
             MEMORY {{\n{second_stage}  FLASH : ORIGIN = {:#x}, LENGTH = {}\n  STACK : ORIGIN = {:#x}, LENGTH = {}\n  \
             RAM : ORIGIN = {:#x}, LENGTH = {}\n}}\n\
             _stack_start = ORIGIN(RAM);\n_stack_end = ORIGIN(STACK);\n{boot}",
            board.name,
            flash.0,
            flash.1,
            ram.0,
            board.stack,
            ram.0 + board.stack,
            ram.1 - board.stack
        ),
    );
    write(
        &out.join("airglow.ld"),
        "INCLUDE link.x\n\
         /* Boot parameters: words that `cargo airglow` writes into the finished image. */\n\
         SECTIONS { .airglow_parameters : ALIGN(4) { KEEP(*(.airglow_parameters)) } > FLASH } INSERT AFTER .rodata;\n",
    );
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
