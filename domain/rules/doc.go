// Package rules is what a project or repository demands of pushes: branch permissions,
// which say who may move which refs in which way, the branch model that they may name
// branches by, and push rules, which say what commits and files a push may bring.
//
// The rules of a project hold for all its repositories, too. Branch permissions of both
// add up, for a ref that several of them match must pass them all. The branch model and
// each push rule of a repository replace those of its project.
//
// Rules are events on the stream of their project or repository. What is demanded of a
// push is Effective: the rules of the repository with those of its project. It is judged
// when the push begins, to refuse early, and once more by the one who appends the push,
// so that a push that comes behind a rule in the log has been judged by it.
//
// Invariants kept here: an id names one restriction, secret rule or allowance for ever;
// there is one restriction of a type for a matcher; patterns are bounded and compile.
package rules
