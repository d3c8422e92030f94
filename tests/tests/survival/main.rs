//! What the proxy goes through in a cluster that has a bad day, each in namespaces with the real programs: it is killed,
//! starved, frozen, flooded, and its network and its backends misbehave. Nothing of a user's is lost, and afterwards all is
//! as before. (`cfg(test)` tells clippy that a helper is test code too.)

#[cfg(test)]
mod application;
#[cfg(test)]
mod attacks;
mod backends;
#[cfg(test)]
mod calls;
mod descriptors;
#[cfg(test)]
mod drained;
mod flood;
mod frames;
mod half_closed;
mod idle;
mod killed;
#[cfg(test)]
mod left;
mod memory;
mod network;
#[cfg(test)]
mod overload;
mod ports;
mod pressure;
#[cfg(test)]
mod replaced;
mod silence;
mod starved;
mod taken;
mod traffic;
mod upgraded;
