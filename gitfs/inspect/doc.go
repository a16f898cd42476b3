// Package inspect looks at what a push brings by the push rules of its repository: the
// committers, messages and signatures of commits, the sizes of files and the secrets in
// them.
//
// Commits and files are looked at while the store checks their pack (store.Inspector), so
// that a push costs no second walk through its objects. Only if something is found, or a
// rule is about paths, the trees that came with the push are walked through, from the
// oldest of its commits on, to find out by which commit and path it came. Memory is
// bounded by the number of objects, as it is where the pack is checked.
//
// Everything that came is looked at, whether a ref of the push reaches it or not: what is
// once in the repository, any later push could name.
package inspect
