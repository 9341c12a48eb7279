//! The main path on a real Kubernetes: what the demo shows and the cluster test asserts.
//!
//! [`path::STEPS`] are its eight lines. Each works on a [`scene::Scene`] (a cluster and a namespace in it) and returns
//! [`evidence::Evidence`]: text read back from the running system, or an error that says what is not as it should be.
//!
//! | line | module |
//! |---|---|
//! | the chart installs the control plane | [`installation`] |
//! | components and a configuration are applied | [`components`] |
//! | annotated pods get a sidecar | [`injection`] |
//! | each sidecar has an identity of its own | [`identities`] |
//! | one app calls another | [`invocation`] |
//! | state is kept in Redis, in upstream's layout | [`state`] |
//! | components change under running apps | [`reload`] |
//! | actors have one host each, and move | [`actors`] |
//!
//! Beside them: the [`images`] that the cluster runs, a [`forward`] to a port of a pod, the [`handshake`] that shows who
//! a sidecar is, the app that a person talks to ([`caller`]), and the way of images into a [`registry`].
//! Apart from it: two [`sidecars`] without Kubernetes, one with [`stores`], and the official [`sdk`]s as their clients.

pub mod actors;
pub mod caller;
pub mod components;
pub mod evidence;
pub mod forward;
pub mod handshake;
pub mod identities;
pub mod images;
pub mod injection;
pub mod installation;
pub mod invocation;
pub mod path;
pub mod pods;
pub mod redis;
pub mod registry;
pub mod reload;
pub mod scene;
pub mod sdk;
pub mod sidecars;
pub mod state;
pub mod stores;
