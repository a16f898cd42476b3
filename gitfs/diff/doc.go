// Package diff compares texts line by line and says how similar files are, as Git does.
// It knows nothing of objects and trees.
package diff
