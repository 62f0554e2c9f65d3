//! The area `peers`: the programs people use.
use super::Tests;
use crate::failure::Result;

/// What the tests use.
const PACKAGES: &[&str] = &["chromium", "curl", "iproute2"];

/// A browser shows the site.
pub fn test(tests: &mut Tests) -> Result {
    tests.need(PACKAGES)?;
    tests.cargo("a browser", "test --release --package airglow-website --test browser");
    Ok(())
}
