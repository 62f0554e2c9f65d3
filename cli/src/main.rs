//! `cargo airglow`: build, run, test and measure airglow applications on Unix, Xen and ARM boards.
//!
//! One file per command; `workspace.rs` finds the application, `progress.rs` shows what takes long,
//! `packages.rs` installs what the tests need. What is special to a target lives in `xen/` and `arm/`.
mod arm;
mod bench;
mod cert;
mod compliance;
mod failure;
mod image;
mod new;
mod ofctl;
mod packages;
mod process;
mod progress;
mod run;
mod tap;
mod target;
mod test;
mod trace;
mod wire;
mod workspace;
mod xen;

use clap::{Parser, Subcommand};
use failure::Result;
use std::process::ExitCode;

/// Build, run, test and measure airglow applications on Unix, Xen and ARM boards.
#[derive(Parser)]
#[command(name = "cargo airglow", bin_name = "cargo airglow", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an application to start from: a website for every target
    New(new::Arguments),
    /// Build an application and run it: on this machine, or on an emulated target
    Run(run::Arguments),
    /// Build an application's image; the last line says where it is and how many bytes it has
    Build(image::Arguments),
    /// Run the tests, all of them or those of the named areas, after setting up what they need
    Test(test::Arguments),
    /// Measure against a peer in the same run, print the table and write target/bench/NAME.json
    Bench(bench::Arguments),
    /// Make an authority for development and with it a certificate
    Cert(cert::Arguments),
    /// Join two network interfaces by a wire that delays, loses, reorders, duplicates and corrupts
    Wire(wire::Arguments),
    /// Say how far the requirements of the RFCs of TCP/IP are met
    Compliance(compliance::Arguments),
    /// Draw a TCP connection over time: window, flight, round trip and losses, from the stack's trace
    Trace(trace::Arguments),
    /// Say where the bytes of an image are, by crate
    Size(image::SizeArguments),
    /// List the boards: memory, network controller, how each is checked
    Boards,
    /// Build an application and write it to a board's flash
    Flash(image::FlashArguments),
}

fn main() -> ExitCode {
    // As a cargo subcommand the first argument is the subcommand's own name.
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "airglow") {
        words.remove(1);
    }
    match dispatch(Arguments::parse_from(words).command) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::New(arguments) => new::new(&arguments)?,
        Command::Run(arguments) => run::run(&arguments)?,
        Command::Build(arguments) => image::build(&arguments)?,
        Command::Test(arguments) => return test::test(&arguments),
        Command::Bench(arguments) => return bench::bench(&arguments),
        Command::Cert(arguments) => return cert::cert(&arguments),
        Command::Wire(arguments) => wire::wire(&arguments)?,
        Command::Compliance(arguments) => compliance::compliance(&arguments)?,
        Command::Trace(arguments) => trace::trace(&arguments)?,
        Command::Size(arguments) => image::size(&arguments)?,
        Command::Boards => arm::boards()?,
        Command::Flash(arguments) => image::flash(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
