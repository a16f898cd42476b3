package revwalk

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Filter leaves objects out of what is sent, as git-rev-list(1) describes under
// --filter. The zero value leaves out nothing.
type Filter struct {
	blobs, trees bool  // whether the limits below hold
	blobLimit    int64 // blobs of this many bytes and more are left out
	treeDepth    int   // trees and blobs this many levels below a commit's root are left out
}

// FilterError says that a filter is not understood. Its text may be shown to the
// client.
type FilterError struct{ Spec string }

func (e *FilterError) Error() string { return fmt.Sprintf("filter %q is not supported", clip(e.Spec)) }

const maxFilterSpec = 1024

// ParseFilter reads blob:none, blob:limit=N with an optional k, m or g, tree:N, and
// combine: of those. Errors are *FilterError.
func ParseFilter(spec string) (Filter, error) {
	var f Filter
	refused := &FilterError{Spec: spec}
	if len(spec) > maxFilterSpec {
		return Filter{}, refused
	}
	if parts, ok := strings.CutPrefix(spec, "combine:"); ok {
		for part := range strings.SplitSeq(parts, "+") {
			part, err := url.PathUnescape(part)
			if err != nil || strings.HasPrefix(part, "combine:") || f.add(part) != nil {
				return Filter{}, refused
			}
		}
		return f, nil
	}
	if f.add(spec) != nil {
		return Filter{}, refused
	}
	return f, nil
}

func (f *Filter) add(spec string) error {
	switch kind, value, _ := strings.Cut(spec, ":"); {
	case spec == "blob:none":
		f.limitBlobs(0)
		return nil
	case kind == "blob" && strings.HasPrefix(value, "limit="):
		n, err := parseSize(value[len("limit="):])
		if err != nil {
			return err
		}
		f.limitBlobs(n)
		return nil
	case kind == "tree":
		depth, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return err
		}
		if !f.trees || int(depth) < f.treeDepth {
			f.trees, f.treeDepth = true, int(depth)
		}
		return nil
	}
	return &FilterError{Spec: spec}
}

func (f *Filter) limitBlobs(n int64) {
	if !f.blobs || n < f.blobLimit {
		f.blobs, f.blobLimit = true, n
	}
}

// NoBlobs reports whether the filter leaves out all files and nothing else.
func (f Filter) NoBlobs() bool { return f.blobs && f.blobLimit == 0 && !f.trees }

// String writes the filter in one way, whatever way it was asked for.
func (f Filter) String() string {
	var parts []string
	if f.blobs {
		parts = append(parts, fmt.Sprintf("blob:limit=%d", f.blobLimit))
	}
	if f.trees {
		parts = append(parts, fmt.Sprintf("tree:%d", f.treeDepth))
	}
	return strings.Join(parts, "+")
}

// IsZero reports whether the filter leaves out nothing.
func (f Filter) IsZero() bool { return !f.blobs && !f.trees }

// sends reports whether a tree or blob at that depth below the root is sent.
func (f Filter) sends(depth int) bool { return !f.trees || depth < f.treeDepth }

// parseSize reads a number with an optional unit of 1024, 1024² or 1024³.
func parseSize(s string) (int64, error) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			shift = 10
		case 'm', 'M':
			shift = 20
		case 'g', 'G':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64>>shift {
		return 0, strconv.ErrRange
	}
	return int64(n) << shift, nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
