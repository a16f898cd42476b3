package login

import (
	"net/url"
	"strings"
)

// maxNext bounds where a log-in leads to, in bytes.
const maxNext = 4096

// Local returns where a log-in shall lead to if that is a path of this installation, and else
// "". What browsers would read as another host is none: "//host", "/\host", and what they drop
// control characters from to make it so.
func Local(next string) string {
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return ""
	}
	for _, r := range next {
		if r <= ' ' || r >= 0x7f {
			return ""
		}
	}
	parsed, err := url.Parse(next)
	if err != nil || parsed.Scheme != "" || parsed.Host != "" || parsed.User != nil || strings.HasPrefix(parsed.Path, "//") || strings.ContainsAny(parsed.Path, "\\\r\n\t") {
		return ""
	}
	return next
}
