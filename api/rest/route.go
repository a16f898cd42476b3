package rest

import (
	"regexp"
	"strings"
)

// route is one operation: where it is, what it takes and gives, and who answers it.
// The OpenAPI document is made from the same words.
type route struct {
	method, path string // path as OpenAPI writes it, with {parameters}
	summary      string
	handle       handler
	query        []string // names of query parameters besides those of a page
	paged        bool     // answers with a page of answer
	body         any      // a value of the type that is decoded, nil for none
	answer       any      // a value of the type that is answered with, nil for none
	status       int      // of success; 0 means 200, or 204 without an answer
	tail         bool     // the last parameter takes the rest of the path, slashes and all
	variant      bool     // another spelling of a route, which clients use and Bitbucket does not describe
	streams      bool     // the answer may take as long as its reader does
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// pattern is the path as the router writes it.
func (r route) pattern() string {
	path := r.path
	if r.tail {
		path = path[:strings.LastIndexByte(path, '{')] + "*"
	}
	return parameter.ReplaceAllString(path, ":$1")
}

// success is the status of an answer without error.
func (r route) success() int {
	switch {
	case r.status != 0:
		return r.status
	case r.answer == nil:
		return 204
	}
	return 200
}

// Paths that others start with.
const (
	apiPath        = "/rest/api/1.0"
	projectPath    = apiPath + "/projects/{projectKey}"
	repositoryPath = projectPath + "/repos/{repositorySlug}"
	annalPath      = "/rest/annal/1.0"
)

// tail is what the last parameter of a route with a tail was given.
func (c *call) tail() string { return c.Param("*") }
