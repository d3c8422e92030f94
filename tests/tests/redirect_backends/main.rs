//! What backends promise beyond where packets land: all or nothing, a bounded wait, conflicts that are shown, an exact
//! clean-up, and texts that are the rules.

mod clean;
mod conflicts;
mod failures;
mod image;
mod texts;
