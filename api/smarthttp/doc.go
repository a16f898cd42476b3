// Package smarthttp serves Git over HTTP, as gitprotocol-http(5) describes it, at
// /scm/{project}/{repository}.git and, without the suffix, /scm/{project}/{repository}.
//
// It decodes requests, asks who may do what, and hands streams to uploadpack and
// receivepack. The permission that is asked for is that of the handler that runs:
// whatever else the URL or the headers name has to agree with it.
package smarthttp
