//! Redis for every building block it can serve.
