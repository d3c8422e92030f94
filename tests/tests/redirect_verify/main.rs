//! What init-redirect proves of its own rules: in a network where all is well, in one where it is not, and in one where
//! somebody works against it. What it says is compared with what the test arranged, never with how it found out.

mod check;
mod circumstances;
mod leftovers;
mod proofs;
mod reported;
mod sabotage;

mod verdict;
