//! The contract between injector and sidecar: annotations, flags, environment, ports.
