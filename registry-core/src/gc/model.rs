//! Every interleaving of publishes and collections, in a model small enough to visit all of it.
//!
//! [`protocol`] has the steps of each process over a store and an index of one file; what they
//! decide, they ask the functions that the product asks. [`explorer`] visits every state that any
//! order of steps, crashes, late requests and ticks of the clock leads to. Ages count no further
//! than a decision depends on them, so that there is an end to the states, and none to the time.

mod explorer;
mod protocol;
mod tests;
