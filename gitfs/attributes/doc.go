// Package attributes reads .gitattributes files and says what they make of a path, as
// gitattributes(5) describes it.
package attributes
