// Package rest serves the REST API: Bitbucket Data Center's, as its clients know it,
// below /rest/api and its satellites, and Annal's own below /rest/annal.
//
// A handler decodes the request, asks the judge whether the caller may, hands a
// command to the domain or a question to a projection, and encodes the answer;
// nothing is decided here. Every handler judges its caller itself. Each resource has
// a file of its own with its routes on top; the routes are also what the OpenAPI
// document is made from.
//
// The versions "1.0" and "latest" of a path are the same. Keys, slugs and the names
// of permissions and orders are taken in any case.
package rest
