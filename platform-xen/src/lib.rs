//! Airglow on Xen: boots as a PV guest, drives console, xenstore, network and block rings.
