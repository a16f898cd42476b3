package rest

import (
	"net/url"
	"strings"

	"github.com/annal-git/annal/projections/catalog"
)

// Links always start with the configured base URL, whatever the request's Host says.

type link struct {
	Href string `json:"href"`
	Name string `json:"name,omitempty"`
}

type links struct {
	Clone []link `json:"clone,omitempty"`
	Self  []link `json:"self"`
}

func (a *API) page(elements ...string) string {
	return a.BaseURL.JoinPath(escaped(elements)...).String()
}

func escaped(elements []string) []string {
	list := make([]string, len(elements))
	for i, e := range elements {
		list[i] = url.PathEscape(e)
	}
	return list
}

// cloneLinks carry the project's key in lower case, as Bitbucket's do.
func (a *API) cloneLinks(r catalog.Repository) []link {
	path := []string{strings.ToLower(r.Project.Key), r.Slug + ".git"}
	list := []link{{Href: a.page(append([]string{"scm"}, path...)...), Name: "http"}}
	if a.SSHURL != nil {
		list = append(list, link{Href: a.SSHURL.JoinPath(escaped(path)...).String(), Name: "ssh"})
	}
	return list
}
