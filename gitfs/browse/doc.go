// Package browse reads what a repository's refs lead to, for people and programs
// that look at it without cloning: commits, folders and files.
//
// Ids that a caller names are found only if visible refs reach them. All methods
// end when their context does; what has no natural bound comes in pages.
package browse
