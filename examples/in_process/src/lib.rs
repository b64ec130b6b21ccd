//! The README, so that the program in it is compiled as a doc-test.
#![doc = include_str!("../../../README.md")]
