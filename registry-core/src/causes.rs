/// An error and what caused it, for a report.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> Box<str> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ").into()
}
