//! An OpenFlow switch, generic over the platform and its network devices.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `ports=A,B` | the devices that are its ports 1, 2, ... | required |
//! | `listen=ADDR:PORT` | waits for controllers (and `ovs-ofctl`) there | off |
//! | `controller=tcp:ADDR:PORT` | connects to a controller, again and again with growing pauses | off |
//! | `datapath=HEX` | the datapath id, 16 hexadecimal digits | the first port's address |
//! | `fail=standalone` | while no controller is there, packets that no flow matches are bridged | `secure` |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use airglow::{
    device::{Entropy, NetDevice, ParameterError, Platform, Tcp},
    runtime::{Either, for_each_connection, select, sleep},
};
use airglow_openflow::{shell::Datapath, switch::Config};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{future::pending, net::SocketAddr, time::Duration};

/// Controllers at once, on the listening port.
const CONTROLLERS: usize = 16;
/// The first pause before another attempt to reach a controller; each further one doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Runs the switch until the platform stops it. `open` opens the device of a port by its name.
///
/// # Errors
/// One line that says which boot parameter or port is wrong.
pub async fn run<P: Platform, D: NetDevice>(
    platform: &P,
    open: impl Fn(&str) -> Result<D, String>,
) -> Result<(), String> {
    let parameters = platform.parameters();
    let wrong = |error: ParameterError<'_>| error.to_string();
    let names = parameters
        .text("ports")
        .ok_or("boot parameter `ports=` is missing: name the devices to join, as in ports=veth0,veth1")?;
    let listen =
        parameters.get::<SocketAddr>("listen", "an address and port, as in 127.0.0.1:6653").map_err(wrong)?;
    let controller = match parameters.text("controller") {
        None => None,
        Some(text) => {
            let addr = text.strip_prefix("tcp:").and_then(|addr| addr.parse::<SocketAddr>().ok());
            Some(addr.ok_or_else(|| format!("boot parameter `controller={text}`: expected tcp:ADDR:PORT"))?)
        }
    };
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
        devices.push((String::from(name), open(name).map_err(|error| format!("port {name}: {error}"))?));
    }
    let first = devices.first().map(|(_, device)| device.mac().0).unwrap_or_default();
    let own = first.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
    let config = Config { fail_standalone, ..Config::new(datapath.unwrap_or(own)) };
    log::info!("datapath {:016x} with ports {names}", config.datapath_id);
    let datapath = Datapath::new(config, platform.entropy().u64(), devices, platform.timer());
    let listening = async {
        let Some(on) = listen else { return pending().await };
        let listener = platform.tcp().listen(on).await.map_err(|error| format!("listen={on}: {error}"))?;
        log::info!("listening for controllers on {on}");
        for_each_connection::<CONTROLLERS, _>(&listener, platform.timer(), async |stream| {
            datapath.control(stream).await
        })
        .await;
        Ok(())
    };
    let connecting = async {
        let Some(to) = controller else { return pending::<()>().await };
        let mut pause = FIRST_PAUSE;
        loop {
            match platform.tcp().connect(to).await {
                Ok(stream) => {
                    log::info!("connected to the controller at {to}");
                    pause = FIRST_PAUSE;
                    datapath.control(stream).await;
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
