//! An OpenFlow switch, generic over the platform and its network devices.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `ports=A,B` | the devices that are its ports 1, 2, ...: Linux's interfaces by their names; a Xen guest's and a board's network cards by their numbers, of which 0 is the stack's | required |
//! | `card=packet`, `xdp` or `tap` | on Linux, by what means: AF_PACKET, AF_XDP, or tap devices that it makes | `packet` |
//! | `listen=ADDR:PORT` | waits for controllers (and `ovs-ofctl`) there; over TLS with `ssl:` before the address | off |
//! | `controller=tcp:ADDR:PORT` | connects to a controller, again and again with growing pauses; over TLS with `ssl:` instead | off |
//! | `cert=FILE key=FILE ca=FILE` | with `ssl:`, on Unix: [who one is and whom one trusts](airglow_openflow_tls) | |
//! | `datapath=HEX` | the datapath id, 16 hexadecimal digits | the first port's address |
//! | `fail=standalone` | while no controller is there, packets that no flow matches are bridged | `secure` |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use airglow::{
    device::{Entropy, NetDevice, Platform, Tcp},
    runtime::{Either, for_each_connection, select, sleep},
};
use airglow_openflow::{shell::Datapath, switch::Config};
use alloc::{format, string::String, vec::Vec};
use core::{fmt::Display, future::pending, net::SocketAddr, time::Duration};

#[cfg(unix)]
use airglow_openflow_tls::Identity;

/// Reads `tcp:ADDR:PORT`, `ssl:ADDR:PORT`, and where `bare` ones are allowed `ADDR:PORT`: whether over TLS, and where.
fn place(text: &str, bare: bool) -> Option<(bool, SocketAddr)> {
    let (secure, address) = match text.split_at_checked(4) {
        Some(("tcp:", address)) => (false, address),
        Some(("ssl:", address)) => (true, address),
        _ if bare => (false, text),
        _ => return None,
    };
    address.parse().ok().map(|address| (secure, address))
}

/// Speaks with controllers, over TLS too.
#[cfg(unix)]
struct Controllers<'d, D: NetDevice, T>(&'d Datapath<D, T>);

#[cfg(unix)]
impl<D: NetDevice, T: airglow::device::Timer> airglow_openflow_tls::Speak for Controllers<'_, D, T> {
    async fn speak(&self, stream: impl airglow::device::Stream) {
        self.0.control(stream).await
    }
}

/// A machine that counts its memory in kilobytes: a board.
const SMALL: bool = cfg!(all(target_os = "none", not(target_arch = "x86_64")));
/// Controllers at once, on the listening port.
const CONTROLLERS: usize = if SMALL { 2 } else { 16 };
/// The first pause before another attempt to reach a controller; each further one doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Runs the switch until the platform stops it. `open` opens the device of a port by its name.
///
/// # Errors
/// One line that says which boot parameter or port is wrong.
pub async fn run<P: Platform, D: NetDevice, E: Display>(
    platform: &P,
    open: impl AsyncFn(&str) -> Result<D, E>,
) -> Result<(), String> {
    let parameters = platform.parameters();
    let names = parameters
        .text("ports")
        .ok_or("boot parameter `ports=` is missing: name the devices to join, as in ports=veth0,veth1")?;
    let listen = match parameters.text("listen") {
        None => None,
        Some(text) => Some(place(text, true).ok_or_else(|| {
            format!("boot parameter `listen={text}`: expected an address and port, as in 127.0.0.1:6653")
        })?),
    };
    let controller = match parameters.text("controller") {
        None => None,
        Some(text) => Some(place(text, false).ok_or_else(|| {
            format!("boot parameter `controller={text}`: expected tcp:ADDR:PORT or ssl:ADDR:PORT")
        })?),
    };
    let secure = [listen, controller].into_iter().flatten().any(|(secure, _)| secure);
    #[cfg(unix)]
    let identity = if secure { Some(Identity::read(parameters)?) } else { None };
    #[cfg(not(unix))]
    if secure {
        return Err(String::from(
            "boot parameters with `ssl:`: there are no files for the certificates here",
        ));
    }
    let fail_standalone = match parameters.text("fail") {
        None | Some("secure") => false,
        Some("standalone") => true,
        Some(other) => {
            return Err(format!("boot parameter `fail={other}`: expected `secure` or `standalone`"));
        }
    };
    let datapath = match parameters.text("datapath") {
        None => None,
        Some(text) => {
            let id = u64::from_str_radix(text, 16);
            Some(id.map_err(|_| {
                format!("boot parameter `datapath={text}`: expected up to 16 hexadecimal digits")
            })?)
        }
    };
    let mut devices = Vec::new();
    for name in names.split(',') {
        devices
            .push((String::from(name), open(name).await.map_err(|error| format!("port {name}: {error}"))?));
    }
    let first = devices.first().map(|(_, device)| device.mac().0).unwrap_or_default();
    let own = first.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
    let datapath = datapath.unwrap_or(own);
    let sizes = if SMALL { Config::small(datapath) } else { Config::new(datapath) };
    let config = Config { fail_standalone, ..sizes };
    log::info!("datapath {:016x} with ports {names}", config.datapath_id);
    let datapath = Datapath::new(config, platform.entropy().u64(), devices, platform.timer());
    let listening = async {
        let Some((secure, on)) = listen else { return pending().await };
        let listener = platform.tcp().listen(on).await.map_err(|error| format!("listen={on}: {error}"))?;
        log::info!("listening for controllers on {on}{}", if secure { " over TLS" } else { "" });
        #[cfg(unix)]
        if let Some(identity) = identity.as_ref().filter(|_| secure) {
            let speaker = Controllers(&datapath);
            let never = identity.listen::<CONTROLLERS, _>(platform, listener, &speaker).await?;
            match never {}
        }
        for_each_connection::<CONTROLLERS, _>(&listener, platform.timer(), async |stream| {
            datapath.control(stream).await
        })
        .await;
        Ok(())
    };
    let connecting = async {
        let Some((_secure, to)) = controller else { return pending::<()>().await };
        let mut pause = FIRST_PAUSE;
        loop {
            match platform.tcp().connect(to).await {
                Ok(stream) => {
                    log::info!("connected to the controller at {to}");
                    pause = FIRST_PAUSE;
                    #[cfg(unix)]
                    let stream = match identity.as_ref().filter(|_| _secure) {
                        None => Some(stream),
                        Some(identity) => {
                            let speaker = Controllers(&datapath);
                            if let Err(error) = identity.connect(platform, stream, &speaker).await {
                                log::warn!("TLS with the controller at {to}: {error}");
                            }
                            None
                        }
                    };
                    #[cfg(not(unix))]
                    let stream = Some(stream);
                    if let Some(stream) = stream {
                        datapath.control(stream).await;
                    }
                    log::warn!("the controller at {to} is gone");
                }
                Err(error) => log::warn!("the controller at {to} does not answer: {error}"),
            }
            sleep(platform.timer(), pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    };
    match select(datapath.run(), select(listening, connecting)).await {
        Either::Left(never) => match never {},
        Either::Right(Either::Left(result)) => result,
        Either::Right(Either::Right(())) => Ok(()),
    }
}
