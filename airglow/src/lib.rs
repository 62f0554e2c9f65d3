//! The facade of airglow, a library operating system: picks the platform by compilation target.
