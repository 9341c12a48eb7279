//! Loads the sidecar's resources and swaps them while running.
