package git

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// Limits of ref names, in bytes.
const (
	MaxRefName          = 1024
	MaxRefNameComponent = 255
)

// RefNameError says why a name cannot be a ref.
type RefNameError struct {
	Name   string
	Reason string
}

func (e *RefNameError) Error() string {
	return fmt.Sprintf("invalid ref name %q: %s", clip(e.Name), e.Reason)
}

// CheckRefName applies the rules of git-check-ref-format(1) to a full name: it
// starts with "refs/", has at least three components, and holds nothing that a
// shell, a path or a revision expression would read differently. Stricter than Git,
// it refuses components that start with a dash, so that no name can be taken for an
// option, and names that are not UTF-8, which events in JSON cannot hold. Errors are
// *RefNameError.
func CheckRefName(name string) error {
	fail := func(reason string) error { return &RefNameError{Name: name, Reason: reason} }
	switch {
	case len(name) > MaxRefName:
		return fail(fmt.Sprintf("longer than %d bytes", MaxRefName))
	case !strings.HasPrefix(name, "refs/"):
		return fail(`must start with "refs/"`)
	case strings.Count(name, "/") < 2:
		return fail("needs three components, like refs/heads/main")
	case !utf8.ValidString(name):
		return fail("is not UTF-8")
	case strings.HasSuffix(name, "."):
		return fail("ends with a dot")
	case strings.Contains(name, ".."):
		return fail(`contains ".."`)
	case strings.Contains(name, "@{"):
		return fail(`contains "@{"`)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c < 0x20 || c == 0x7f:
			return fail("contains a control character")
		case strings.IndexByte(` ~^:?*[\`, c) >= 0:
			return fail(fmt.Sprintf("contains %q", string(c)))
		}
	}
	for component := range strings.SplitSeq(name, "/") {
		switch {
		case component == "":
			return fail("has an empty component")
		case len(component) > MaxRefNameComponent:
			return fail(fmt.Sprintf("has a component longer than %d bytes", MaxRefNameComponent))
		case component[0] == '.':
			return fail("has a component that starts with a dot")
		case component[0] == '-':
			return fail("has a component that starts with a dash")
		case strings.HasSuffix(component, ".lock"):
			return fail(`has a component that ends with ".lock"`)
		}
	}
	return nil
}

// Folders yields what stands before each slash of a ref's full name but the first: for
// refs/heads/a/b it is refs/heads and refs/heads/a. No ref may have one of these names
// while there is one below.
func Folders(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for at := len("refs/"); at < len(name); at++ {
			if name[at] == '/' && !yield(name[:at]) {
				return
			}
		}
	}
}

// ShortName is a ref's name as people say it: without refs/heads/ or refs/tags/.
func ShortName(name string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if short, ok := strings.CutPrefix(name, prefix); ok {
			return short
		}
	}
	return name
}
