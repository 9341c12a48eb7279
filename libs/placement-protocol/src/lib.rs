//! Both halves of placement dissemination as pure state machines.
