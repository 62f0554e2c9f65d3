//! Reads the zone file that `AIRGLOW_ZONE` names, else the example of `apps/dns-server`, and writes its records in wire form, so that the
//! image needs no parser.
use airglow_dns::{
    wire::{NameBuf, RecordType},
    zone,
};
use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=AIRGLOW_ZONE");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../dns-server/zones/example.com.zone");
    let file = env::var("AIRGLOW_ZONE").unwrap_or_else(|_| example.to_owned());
    println!("cargo::rerun-if-changed={file}");
    let path = Path::new(&file);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let origin: NameBuf = name.strip_suffix(".zone").unwrap_or(name).parse()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let include = |name: &str| fs::read(folder.join(name)).map_err(|error| error.to_string());
    let zone = zone::load(&file, &fs::read(path)?, &origin, include).map_err(|error| error.to_string())?;

    let serves_signed =
        env::var_os("CARGO_FEATURE_SIGNED").or_else(|| env::var_os("CARGO_CFG_UNIX")).is_some();
    let chains = [RecordType::NSEC, RecordType::NSEC3PARAM];
    if !serves_signed && chains.iter().any(|chain| zone.apex().set(*chain).is_some()) {
        return Err(format!("{file} is signed: build with the feature `signed`").into());
    }

    // The apex, then records: owner, type, time to live, length and data.
    let mut out = zone.apex().name().as_bytes().to_vec();
    for node in zone.nodes() {
        for set in node.sets() {
            for data in set.data() {
                out.extend(node.name().as_bytes());
                out.extend(set.rtype.0.to_be_bytes());
                out.extend(set.ttl.to_be_bytes());
                out.extend(u16::try_from(data.len())?.to_be_bytes());
                out.extend(data);
            }
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("zone"), out)?;
    Ok(())
}
