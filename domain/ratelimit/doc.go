// Package ratelimit decides how many requests a caller may make: everybody has a bucket of
// tokens, each request takes one, and tokens come back at a steady rate until the bucket is
// full. Limits are Bitbucket's: off until an administrator turns them on.
package ratelimit
