//! The linker script of the board that `AIRGLOW_BOARD` names.
use std::{env, fs, path::Path};

/// A board's memories: start and size in bytes.
struct Board {
    name: &'static str,
    target: &'static str,
    flash: (u32, u32),
    ram: (u32, u32),
    /// How much of the RAM, from its start, is the stack. It grows down and out of the RAM, so that an
    /// overflow is a fault and never another variable.
    stack: u32,
}

const KIB: u32 = 1024;

const BOARDS: &[Board] = &[
    Board {
        name: "lm3s6965evb",
        target: "thumbv7m-none-eabi",
        flash: (0, 256 * KIB),
        ram: (0x2000_0000, 64 * KIB),
        stack: 40_000,
    },
    Board {
        name: "mps2-an385",
        target: "thumbv7m-none-eabi",
        flash: (0, 4096 * KIB),
        ram: (0x2000_0000, 4096 * KIB),
        stack: 64 * KIB,
    },
    Board {
        name: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        flash: (0, 4096 * KIB),
        ram: (0x2000_0000, 4096 * KIB),
        stack: 64 * KIB,
    },
    Board {
        name: "mps2-an500",
        target: "thumbv7em-none-eabihf",
        flash: (0, 4096 * KIB),
        ram: (0x2000_0000, 4096 * KIB),
        stack: 64 * KIB,
    },
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AIRGLOW_BOARD");
    let names: Vec<_> =
        BOARDS.iter().map(|b| format!("{:?}", b.name)).chain(["\"virt-aarch64\"".into()]).collect();
    println!("cargo::rustc-check-cfg=cfg(board, values({}))", names.join(", "));
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let out = env::var("OUT_DIR").unwrap_or_default();
    let out = Path::new(&out);
    println!("cargo::rustc-link-search={}", out.display());
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("aarch64") {
        println!("cargo::rustc-cfg=board=\"virt-aarch64\"");
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
    let (flash, ram) = (board.flash, board.ram);
    write(
        &out.join("memory.x"),
        &format!(
            "/* {}: the stack lies below all variables and grows out of the RAM. */\n\
             MEMORY {{\n  FLASH : ORIGIN = {:#x}, LENGTH = {}\n  STACK : ORIGIN = {:#x}, LENGTH = {}\n  \
             RAM : ORIGIN = {:#x}, LENGTH = {}\n}}\n\
             _stack_start = ORIGIN(RAM);\n_stack_end = ORIGIN(STACK);\n",
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
