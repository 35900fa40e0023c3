//! What is measured, each in a file of its own.

pub mod broadcast;
