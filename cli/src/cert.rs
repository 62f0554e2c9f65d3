//! `cargo airglow cert`: an authority and certificates for development.
use crate::{
    failure::{Context, Result},
    workspace::cargo,
};
use std::process::ExitCode;

/// For whom, and where to put it.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo airglow cert --folder certificates localhost 127.0.0.1\n\
    then: cargo airglow run website tls=on cert=certificates/cert.pem key=certificates/key.pem")]
pub struct Arguments {
    /// Host names and addresses; localhost and its addresses by default
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where the files are; an authority that is there (ca.pem, ca.key.pem; PEM or DER) is used
    #[arg(long, default_value = "certificates")]
    folder: std::path::PathBuf,
    /// For how many days
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// Sign nothing; make a request for another authority
    #[arg(long)]
    request: bool,
}

/// The program of `tls/cert`, so that this one need not be built with all the cryptography.
pub fn cert(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "airglow-tls-cert", "--", "--folder"]);
    command.arg(&arguments.folder).args(["--days", &arguments.days.to_string()]);
    if arguments.request {
        command.arg("--request");
    }
    let status = command.args(&arguments.names).status().context("cargo run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
