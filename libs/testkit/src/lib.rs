//! Test harness: real binaries, servers and Kubernetes.
