//! Fuzz bodies: plain functions that the tests run on stable and cargo-fuzz with coverage.
