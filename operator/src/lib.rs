//! Watches Dapr's custom resources and streams them to sidecars.
