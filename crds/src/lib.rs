//! Dapr's custom resource types and the generator of their CRDs.
