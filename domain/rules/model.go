package rules

import (
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

const branches = "refs/heads/"

// Categories are the types of branches that a model knows, by Bitbucket's names.
var Categories = []string{"BUGFIX", "FEATURE", "HOTFIX", "RELEASE"}

// The branches of a model that are no category.
const (
	Development = "development"
	Production  = "production"
)

// ModelRef is a branch of a model.
type ModelRef struct {
	Ref        string `json:"ref,omitempty"`        // full name; "" if UseDefault
	UseDefault bool   `json:"useDefault,omitempty"` // the default branch of the repository
}

// Category is a type of branches, told by how their names begin.
type Category struct {
	ID      string `json:"id"`
	Prefix  string `json:"prefix"`
	Enabled bool   `json:"enabled"`
}

// Model says what branches are for.
type Model struct {
	Development ModelRef   `json:"development"`
	Production  *ModelRef  `json:"production,omitempty"` // nil if there is none
	Categories  []Category `json:"categories"`
}

// DefaultModel is Bitbucket's: it holds where none is configured.
func DefaultModel() Model {
	m := Model{Development: ModelRef{UseDefault: true}}
	for _, id := range Categories {
		m.Categories = append(m.Categories, Category{ID: id, Prefix: strings.ToLower(id) + "/", Enabled: true})
	}
	return m
}

// MaxPrefix is how long the prefix of a category may be, in bytes.
const MaxPrefix = 30

// resolve is the full name of a branch of a model in a repository.
func (r ModelRef) resolve(defaultBranch string) string {
	if r.UseDefault {
		return defaultBranch
	}
	return r.Ref
}

// Branch is the full name of Development or Production in a repository with a default
// branch, "" if there is none.
func (m Model) Branch(id, defaultBranch string) string {
	switch {
	case id == Development:
		return m.Development.resolve(defaultBranch)
	case id == Production && m.Production != nil:
		return m.Production.resolve(defaultBranch)
	}
	return ""
}

// category reports whether a ref is a branch of a category.
func (m Model) category(id, ref string) bool {
	name, ok := strings.CutPrefix(ref, branches)
	if !ok {
		return false
	}
	for _, c := range m.Categories {
		if c.ID == id {
			return c.Enabled && c.Prefix != "" && strings.HasPrefix(name, c.Prefix)
		}
	}
	return false
}

// normal is the model as it is stored: every category in order, branches by their full
// names. The error is a *domain.InvalidError.
func (m Model) normal() (Model, error) {
	n := Model{}
	var err error
	if n.Development, err = m.Development.normal("development"); err != nil {
		return n, err
	}
	if m.Production != nil {
		production, err := m.Production.normal("production")
		if err != nil {
			return n, err
		}
		n.Production = &production
	}
	for _, id := range Categories {
		c := Category{ID: id, Prefix: strings.ToLower(id) + "/"}
		for _, given := range m.Categories {
			if strings.EqualFold(given.ID, id) {
				c = Category{ID: id, Prefix: given.Prefix, Enabled: given.Enabled}
			}
		}
		if err := n.checkCategory(c); err != nil {
			return n, err
		}
		n.Categories = append(n.Categories, c)
	}
	for _, given := range m.Categories {
		if !n.has(strings.ToUpper(given.ID)) {
			return n, domain.Invalid("types", "%q is no type of branches: it must be one of %s.", clip(given.ID), strings.Join(Categories, ", "))
		}
	}
	return n, nil
}

func (m Model) has(id string) bool {
	for _, c := range m.Categories {
		if c.ID == id {
			return true
		}
	}
	return false
}

// checkCategory refuses a category that does not fit to those before it.
func (m Model) checkCategory(c Category) error {
	if !c.Enabled && c.Prefix == "" {
		return nil
	}
	if len(c.Prefix) > MaxPrefix {
		return domain.Invalid("types", "The prefix of %s is limited to %d bytes.", c.ID, MaxPrefix)
	}
	if err := git.CheckRefName(branches + c.Prefix + "x"); err != nil || c.Prefix == "" {
		return domain.Invalid("types", "The prefix %q of %s cannot begin the name of a branch.", c.Prefix, c.ID)
	}
	for _, other := range m.Categories {
		if c.Enabled && other.Enabled && (strings.HasPrefix(c.Prefix, other.Prefix) || strings.HasPrefix(other.Prefix, c.Prefix)) {
			return domain.Invalid("types", "The prefixes of %s and %s overlap.", other.ID, c.ID)
		}
	}
	return nil
}

func (r ModelRef) normal(field string) (ModelRef, error) {
	if r.UseDefault {
		return ModelRef{UseDefault: true}, nil
	}
	if !strings.HasPrefix(r.Ref, branches) {
		r.Ref = branches + r.Ref
	}
	if err := git.CheckRefName(r.Ref); err != nil {
		return r, domain.Invalid(field, "%s.", err)
	}
	return r, nil
}
