//! Visits every state.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Debug,
    hash::Hash,
};

/// A thing that steps from state to state.
pub(super) trait Model {
    type State: Copy + Eq + Hash + Debug;
    type Step: Copy + Debug;

    fn initial(&self) -> Vec<Self::State>;
    /// Every step that may be next, and where it leads.
    fn steps(&self, state: &Self::State, next: &mut Vec<(Self::Step, Self::State)>);
    /// What is wrong in a state.
    fn wrong(&self, state: &Self::State) -> Option<&'static str>;
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Found<S> {
    /// All is well in each of so many states.
    Nothing { states: usize },
    /// The least number of steps that lead to something wrong.
    Wrong { what: &'static str, steps: Vec<S> },
}

/// Visits every state, those that are reached by few steps first.
pub(super) fn explore<M: Model>(model: &M) -> Found<M::Step> {
    let mut states = Vec::new();
    let mut came_by: Vec<Option<(usize, M::Step)>> = Vec::new();
    let mut known = HashMap::new();
    let mut open = VecDeque::new();
    for state in model.initial() {
        known.insert(state, states.len());
        open.push_back(states.len());
        states.push(state);
        came_by.push(None);
    }
    let mut next = Vec::new();
    while let Some(number) = open.pop_front() {
        let state = states[number];
        if let Some(what) = model.wrong(&state) {
            let back = std::iter::successors(came_by[number], |(from, _)| came_by[*from]);
            let mut steps: Vec<_> = back.map(|(_, step)| step).collect();
            steps.reverse();
            return Found::Wrong { what, steps };
        }
        model.steps(&state, &mut next);
        for (step, state) in next.drain(..) {
            known.entry(state).or_insert_with(|| {
                open.push_back(states.len());
                states.push(state);
                came_by.push(Some((number, step)));
                states.len() - 1
            });
        }
    }
    Found::Nothing { states: states.len() }
}
