//! Crash sweep.
