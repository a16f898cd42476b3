package archive

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/attributes"
	"github.com/annal-git/annal/gitfs/object"
)

// pattern is one path of a request.
type pattern struct {
	text    string // without a slash at its end
	folder  bool   // had one
	literal string // what is before the first wildcard
}

// pathspec is the paths of a request; an empty one is everything.
type pathspec []pattern

func parsePathspec(paths []string) (pathspec, error) {
	var spec pathspec
	for _, p := range paths {
		if strings.HasPrefix(p, ":") {
			return nil, domain.Invalid("path", "The path %q begins with a colon, whose meanings are not supported here.", p)
		}
		one := pattern{text: strings.TrimSuffix(p, "/"), folder: strings.HasSuffix(p, "/")}
		one.text = strings.TrimPrefix(one.text, "./")
		if clean := path.Clean(one.text); one.text != "" && one.text != "." && clean != one.text || strings.HasPrefix(one.text, "/") || one.text == ".." || strings.HasPrefix(one.text, "../") {
			return nil, domain.Invalid("path", "The path %q does not lie in the repository.", p)
		}
		if one.text == "." || one.text == "" {
			return nil, nil // everything
		}
		one.literal = one.text
		if i := strings.IndexAny(one.text, `*?[\`); i >= 0 {
			one.literal = one.text[:i]
		}
		spec = append(spec, one)
	}
	return spec, nil
}

// matches reports whether a file or gitlink belongs to the archive.
func (s pathspec) matches(name string) bool {
	for _, p := range s {
		if p.matches(name) {
			return true
		}
	}
	return len(s) == 0
}

func (p pattern) matches(name string) bool {
	switch {
	case name == p.text:
		return !p.folder
	case strings.HasPrefix(name, p.text) && name[len(p.text)] == '/':
		return true
	}
	return p.literal != p.text && !p.folder && attributes.Match(p.text, name, false)
}

// mayBelow reports whether something below a folder, which is named without a slash at its
// end, can match.
func (s pathspec) mayBelow(folder string) bool {
	for _, p := range s {
		if p.mayBelow(folder) {
			return true
		}
	}
	return len(s) == 0
}

func (p pattern) mayBelow(folder string) bool {
	below := folder + "/"
	return strings.HasPrefix(below, p.text+"/") || strings.HasPrefix(p.text, below) ||
		p.literal != p.text && (strings.HasPrefix(below, p.literal) || strings.HasPrefix(p.literal, below))
}

// maxDepth bounds how far folders are followed into each other.
const maxDepth = 4096

var errTooDeep = errors.New("archive: tree is nested too deep")

// errFound ends a search.
var errFound = errors.New("found")

// exists reports whether a pattern matches anything in the tree.
func (a *Archive) exists(ctx context.Context, p pattern) (bool, error) {
	err := a.search(ctx, a.request.Tree, "", p, 0)
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

func (a *Archive) search(ctx context.Context, tree git.ObjectID, prefix string, p pattern, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	data, err := a.tree(ctx, tree)
	if err != nil {
		return err
	}
	for e, err := range object.Tree(data) {
		if err != nil {
			return err
		}
		name := prefix + e.Name
		switch {
		case p.matches(name) || e.Mode.IsTree() && name == p.text:
			return errFound
		case e.Mode.IsTree() && p.mayBelow(name):
			if err := a.search(ctx, e.ID, name+"/", p, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Archive) tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	t, data, err := a.objects.Read(ctx, id)
	if err == nil && t != object.TypeTree {
		err = domain.NotFound("path", "%s is a %s and no folder.", id, t)
	}
	return data, err
}
