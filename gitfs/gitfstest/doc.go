// Package gitfstest makes repositories for tests: with real git, in folders that
// the test removes, from commands and times that never differ.
package gitfstest
