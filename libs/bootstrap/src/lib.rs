//! One process: logs, health, metrics, signals, supervised tasks, drain.
