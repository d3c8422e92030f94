//! init-redirect where nothing is as it should be: rules of others, half a network, half the privileges, a kill at every
//! step, proxies that loop. Every test goes through all backends.

mod connections;
mod dns;
mod families;
mod foreign;
mod hold;
mod interrupted;
mod load;
mod loops;
mod privileges;
mod repeated;
mod user_namespace;
