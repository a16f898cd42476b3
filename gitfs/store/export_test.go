package store

// ReverseFrom is reverseFrom for tests.
const ReverseFrom = reverseFrom
