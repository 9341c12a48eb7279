//! End-to-end tests of real binaries on a real Kubernetes.
