//! init-redirect, the real program, in a pod's namespace: where connections land, what happens to those that are open, and
//! what it leaves alone.

mod held;
mod invalid;
mod landings;
mod lifecycle;
mod privilege;
