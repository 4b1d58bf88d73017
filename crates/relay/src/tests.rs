//! A client against a server, over loopback.

mod counts;
mod cuts;
mod ends;
mod fake;
mod flow;
mod hostile;
mod pulls;
mod support;
mod trust;
mod versions;
mod way;
