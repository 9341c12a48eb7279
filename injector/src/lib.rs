//! Admission webhook that puts a sidecar into annotated pods.
