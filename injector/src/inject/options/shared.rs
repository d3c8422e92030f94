//! What an annotation and a field of the proxy configuration do alike.

use super::draft::Draft;
use super::modes::{Interception, switch};
use super::spans::Share;
use super::{Code, Parsed, Refusal};

pub(super) fn interception(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    draft.put(|o| &mut o.traffic.interception, Interception::parse(text)?)
}

pub(super) fn sampling(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    draft.give(|o| &mut o.spans.sampling, Share::parse(text)?)
}

/// Names would stop resolving: the rules exist, but nobody answers on the port to which they would lead.
pub(super) fn dns_capture(_: &mut Draft<'_>, text: &str) -> Parsed<()> {
    if switch(text)? {
        let why = "the proxy does not answer DNS yet; take it off";
        return Err(Refusal::NotOffered(Code::DnsNotServed, why.to_owned()));
    }
    Ok(())
}
