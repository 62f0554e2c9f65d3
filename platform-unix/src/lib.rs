//! Airglow on Unix: host sockets, or airglow's own TCP/IP stack on tap and AF_PACKET devices.
