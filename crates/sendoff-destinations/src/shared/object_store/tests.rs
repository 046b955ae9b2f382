//! Tests of cutting, naming and of the way an upload ends.
