//! Profiles: what a kind of certificate may contain.
