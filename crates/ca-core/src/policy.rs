//! Evaluation of a request against a profile.
