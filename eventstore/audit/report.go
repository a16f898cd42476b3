package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// Class is what kind of promise is broken.
type Class int

// The classes, in the order in which one is named if there are several at a position.
const (
	Signatures Class = iota + 1
	Tree
	Form
	Rights
	Personal
	Refs
	Epochs
	Input // what was given to verify is cut off or cannot be read
)

var classNames = [...]string{"", "signatures", "tree", "form", "rights", "personal", "refs", "epochs", "input"}

func (c Class) String() string { return classNames[c] }

// MarshalText writes the class's name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ExitCode is what a program ends with that has found this first: 11 to 18.
func (c Class) ExitCode() int { return 10 + int(c) }

// Finding is one thing that is wrong.
type Finding struct {
	Class Class `json:"class"`
	// First and Last are where: the position itself, or the range that it must be in.
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
	Message string `json:"message"`

	// consequence says that what is really wrong may stand before it, as far back as the
	// newest checkpoint that has the right root.
	consequence bool
	derived     bool
}

func (f Finding) String() string {
	if f.First == f.Last {
		return fmt.Sprintf("position %d, %s: %s", f.First, f.Class, f.Message)
	}
	return fmt.Sprintf("positions %d to %d, %s: %s", f.First, f.Last, f.Class, f.Message)
}

// Report is what was verified and what was found.
type Report struct {
	Cluster     string    `json:"cluster"`
	From        int64     `json:"from"`
	To          int64     `json:"to"`
	Signed      int64     `json:"signed"` // up to which position a checkpoint covers it
	Events      int64     `json:"events"`
	Checkpoints int64     `json:"checkpoints"`
	Erased      int64     `json:"erased"` // commitments whose data was erased
	Root        string    `json:"root"`   // of everything that was read, base64
	Findings    []Finding `json:"findings"`
	Notes       []string  `json:"notes"` // what was not checked, and what to know
}

// Whole reports whether nothing is wrong.
func (r *Report) Whole() bool { return len(r.Findings) == 0 }

// findings keeps the first of each class. What follows from the fold of the whole log is
// kept apart: if the log itself is damaged, it may be no more than a consequence.
type findings struct{ first, derived [len(classNames)]*Finding }

// atEnd adds what was found by comparing something with the fold of the whole log.
func (f *findings) atEnd(class Class, position int64, format string, args ...any) {
	if known := f.derived[class]; known != nil && known.Last <= position {
		return
	}
	f.derived[class] = &Finding{Class: class, First: position, Last: position, Message: fmt.Sprintf(format, args...), derived: true}
}

// order adds what does not fit to what comes before it.
func (f *findings) order(class Class, position int64, format string, args ...any) {
	f.add(class, position, position, format, args...).consequence = true
}

func (f *findings) none() bool {
	for _, found := range f.first {
		if found != nil {
			return false
		}
	}
	return true
}

func (f *findings) add(class Class, first, last int64, format string, args ...any) *Finding {
	if known := f.first[class]; known != nil && known.Last <= last {
		if known.consequence {
			known.First = min(known.First, first)
		}
		return &Finding{} // of no interest
	}
	f.first[class] = &Finding{Class: class, First: first, Last: last, Message: fmt.Sprintf(format, args...)}
	return f.first[class]
}

func (f *findings) at(class Class, position int64, format string, args ...any) {
	f.add(class, position, position, format, args...)
}

// list is what was found, what to look at first before the rest: where it must be, and
// not only may.
func (f *findings) list() []Finding {
	list := []Finding{}
	for _, found := range append(f.first[:], f.derived[:]...) {
		if found != nil {
			list = append(list, *found)
		}
	}
	for i := range list {
		for _, wide := range list {
			if found := &list[i]; found.consequence && wide.First < found.First && wide.Last >= found.Last && !wide.derived {
				found.First = wide.First
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		if a.derived != b.derived {
			if b.derived {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Last, b.Last), cmp.Compare(b.First, a.First), cmp.Compare(a.Class, b.Class))
	})
	return list
}
