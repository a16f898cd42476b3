// Package gitserver is what Git over HTTP and Git over SSH share: names of repositories as
// clients write them, what a caller may do with one, the repository pinned for as long as a
// request takes, and the words for what went wrong. The transports decode and encode, and
// say who asks.
package gitserver
