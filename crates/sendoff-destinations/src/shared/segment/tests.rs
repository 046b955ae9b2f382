//! What Segment gets for a row, member by member.
