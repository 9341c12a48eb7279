//! Obtains and renews an SVID from sentry.
