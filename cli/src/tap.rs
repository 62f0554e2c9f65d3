//! The host's side of `--net tap`: a tap device with an address from which the application is reached.
use crate::{
    failure::{Context, Failure, Result},
    packages, process,
};
use std::{fs, net::Ipv4Addr, path::Path, process::Command};

/// Makes sure that the tap device `name` is there, is up, and gives this host an address in the application's
/// network `ipv4`.
///
/// # Errors
/// Where this needs rights that the user does not have: says what to type.
pub fn ready(name: &str, ipv4: Option<&str>) -> Result {
    let host = match ipv4 {
        None | Some("dhcp") => None,
        Some(network) => Some(neighbour(network)?),
    };
    let exists = Path::new("/sys/class/net").join(name).exists();
    if exists && !Path::new("/sys/class/net").join(name).join("tun_flags").exists() {
        return Err(Failure::new(format!(
            "the interface {name} is no tap device; choose another with --device"
        )));
    }
    let mut missing = Vec::new();
    if !exists {
        let user = match packages::root() {
            true => String::new(),
            false => format!(" user {}", std::env::var("USER").unwrap_or_else(|_| "$USER".to_owned())),
        };
        missing.push(format!("ip tuntap add dev {name} mode tap vnet_hdr{user}"));
    }
    if let Some(host) = &host
        && (!exists || !has_address(name, host))
    {
        missing.push(format!("ip address add {host} dev {name}"));
    }
    if !exists || !is_up(name) {
        missing.push(format!("ip link set {name} up"));
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !packages::root() {
        let lines: String = missing.iter().map(|line| format!("\n    sudo {line}")).collect();
        return Err(Failure::new(format!(
            "making a tap device needs root; type this, then the same again:{lines}"
        )));
    }
    packages::need(&["iproute2"])?;
    for line in &missing {
        let mut words = line.split(' ');
        process::checked(Command::new(words.next().unwrap_or_default()).args(words)).context(line)?;
    }
    let at = host.map(|host| format!(", this host is {host}")).unwrap_or_default();
    eprintln!("made the tap device {name}{at}; `ip link delete {name}` removes it");
    Ok(())
}

/// The first address of the network `application` that is not the application's own, as `ADDRESS/LENGTH`.
fn neighbour(application: &str) -> Result<String> {
    let wrong =
        || format!("--ipv4 {application}: expected an address and a prefix length, such as 10.0.0.2/24");
    let (address, length) = application.split_once('/').context_with(wrong)?;
    let address: u32 = address.parse::<Ipv4Addr>().ok().context_with(wrong)?.to_bits();
    let length: u32 = length.parse().ok().filter(|l| (8..=30).contains(l)).context_with(|| {
        format!(
            "--ipv4 {application}: the prefix length must be from 8 to 30, so that the host fits beside it"
        )
    })?;
    let first = (address & (u32::MAX << (32 - length))) + 1;
    let host = if first == address { first + 1 } else { first };
    Ok(format!("{}/{length}", Ipv4Addr::from_bits(host)))
}

fn has_address(name: &str, address: &str) -> bool {
    let output = Command::new("ip").args(["-o", "address", "show", "dev", name]).output();
    output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).split_whitespace().any(|word| word == address))
}

fn is_up(name: &str) -> bool {
    let flags = fs::read_to_string(format!("/sys/class/net/{name}/flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::neighbour;

    #[test]
    fn the_host_gets_the_first_other_address() {
        assert_eq!(neighbour("10.0.0.2/24").ok().as_deref(), Some("10.0.0.1/24"));
        assert_eq!(neighbour("10.0.0.1/24").ok().as_deref(), Some("10.0.0.2/24"));
        assert_eq!(neighbour("192.168.7.130/25").ok().as_deref(), Some("192.168.7.129/25"));
    }

    #[test]
    fn a_wrong_network_is_said_with_an_example() {
        for wrong in ["10.0.0.2", "10.0.0/24", "10.0.0.2/31", "10.0.0.2/x", ""] {
            assert!(neighbour(wrong).err().is_some_and(|e| e.to_string().contains("--ipv4")), "{wrong}");
        }
    }
}
