//! Airglow on ARM boards: Cortex-M and Cortex-A start-up, Ethernet drivers, timers.
