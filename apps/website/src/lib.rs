//! A website about airglow, served by airglow.
