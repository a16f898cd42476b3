// Package catalog answers which projects and repositories there are: by key, slug
// or number, and in lists of what somebody may see.
//
// It is inline: its rows move in the transaction that appends the event, so they
// are never behind the log, and its constraints are what keeps keys, names and
// slugs unique and projects with repositories undeleted.
//
// Lists are filtered by what the viewer may read in the same query, so that pages
// are full and nothing hidden is counted. For that they ask access.holdings of
// the access projection. Apply reads this package's own tables only.
package catalog
