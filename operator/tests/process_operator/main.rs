//! The operator as a process, against a real API server. The certificate authority is a small one of this test;
//! everything speaks the real protocol over real TLS.

mod authority;
mod components;
mod configurations;
mod conversion;
mod definitions;
mod drift;
mod fixture;
mod gate;
mod kinds;
mod resilience;
mod rights;
mod services;
mod startup;
mod status;
mod tenancy;
mod validation;
mod watchdog;
