// Package commitgraph reads Git's commit-graph files (gitformat-commit-graph(5)): what a
// walk needs of each commit without inflating it, and of the paths that it changes against
// its first parent a Bloom filter. Maintenance has native git write them; a file holds for
// ever, for a commit is named by what it says.
package commitgraph
