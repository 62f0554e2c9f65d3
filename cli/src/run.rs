//! `cargo airglow run`: builds an application and runs it.
use crate::{
    arm,
    failure::{Context, Failure, Result},
    image, tap,
    target::Target,
    workspace::Workspace,
    xen,
};
use clap::ValueEnum;
use std::{os::unix::process::CommandExt, process::Command};

/// What to run, where, and on which network.
#[derive(clap::Args)]
pub struct Arguments {
    /// The application: a package of this workspace that has a binary; the current folder's by default
    app: Option<String>,
    /// unix, xen, or a board of `cargo airglow boards`; all but unix are emulated
    #[arg(long, default_value = "unix", value_name = "TARGET")]
    on: Target,
    /// Whose TCP/IP the application uses (target unix)
    #[arg(long, value_enum, default_value_t = Net::Sockets)]
    net: Net,
    /// The network interface: the tap device to make or use, or the interface to open (nets packet and xdp)
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// The application's own address and prefix length, or `dhcp` (not for sockets)
    #[arg(long, value_name = "ADDRESS/LENGTH|dhcp")]
    ipv4: Option<String>,
    /// Boot parameters for the application, such as port=8081
    #[arg(last = true, value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

/// Whose TCP/IP an application on Unix uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Net {
    /// This machine's sockets: no privileges
    Sockets,
    /// airglow's own stack, on a tap device
    Tap,
    /// airglow's own stack, on an interface opened with AF_PACKET
    Packet,
    /// airglow's own stack, on an interface opened with AF_XDP
    Xdp,
}

/// Runs it. Where it can it becomes the application, so that signals and the exit status are its own.
pub fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::find()?;
    let app = workspace.app(arguments.app.as_deref())?;
    match &arguments.on {
        Target::Unix => {}
        other if arguments.net != Net::Sockets => {
            return Err(Failure::new(format!("--net is for the target unix, not for {other:?}")));
        }
        Target::Xen => return xen::run(&workspace, &app, &arguments.parameters),
        Target::Board(board) => return arm::run(&workspace, &app, board, &arguments.parameters),
    }
    let mut words = network(arguments)?;
    words.extend(arguments.parameters.iter().cloned());
    let image = image::unix(&app)?;
    let why = Command::new(&image).args(&words).exec();
    Err(why).context(image.display())
}

/// The boot parameters that choose the network.
fn network(arguments: &Arguments) -> Result<Vec<String>> {
    let device = |default: Option<&str>| {
        let device = arguments.device.as_deref().or(default);
        device
            .context("--net packet and --net xdp need --device NAME: the interface to open")
            .map(str::to_owned)
    };
    let mut words = match arguments.net {
        Net::Sockets => {
            if arguments.ipv4.is_some() || arguments.device.is_some() {
                return Err(Failure::new(
                    "host sockets use the host's addresses; --ipv4 and --device go with --net tap, packet or xdp",
                ));
            }
            return Ok(Vec::new());
        }
        Net::Tap => {
            let device = device(Some("airglow0"))?;
            tap::ready(&device, arguments.ipv4.as_deref())?;
            vec!["net=tap".to_owned(), format!("device={device}")]
        }
        Net::Packet => vec!["net=packet".to_owned(), format!("device={}", device(None)?)],
        Net::Xdp => vec!["net=xdp".to_owned(), format!("device={}", device(None)?)],
    };
    words.extend(arguments.ipv4.as_deref().map(|address| match address {
        "dhcp" => "dhcp".to_owned(),
        address => format!("ipv4={address}"),
    }));
    Ok(words)
}
