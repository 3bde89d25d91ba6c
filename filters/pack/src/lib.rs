//! Post-link step of the modules.
