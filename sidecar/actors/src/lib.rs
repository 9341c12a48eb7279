//! Actor host, calls, state and placement client of the sidecar.
