package git

// Ref is a name and what it points to.
type Ref struct {
	Name   string   // full name, such as refs/heads/main
	ID     ObjectID // the object it names
	Peeled ObjectID // for an annotated tag the object behind it, else zero
}

// RefUpdate moves one ref, creates it (Old is zero) or deletes it (New is zero).
type RefUpdate struct {
	Name   string   `json:"name"`
	Old    ObjectID `json:"old"`
	New    ObjectID `json:"new"`
	Peeled ObjectID `json:"peeled,omitzero"`  // of New, if New is an annotated tag
	Forced bool     `json:"forced,omitempty"` // New does not contain Old
}

// IsDelete reports whether u removes the ref.
func (u RefUpdate) IsDelete() bool { return u.New.IsZero() }

// IsCreate reports whether u makes a ref that was not there.
func (u RefUpdate) IsCreate() bool { return u.Old.IsZero() && !u.New.IsZero() }

// Pack is a pack file registered to a repository. Packs are immutable and named
// by the checksum in their trailer.
type Pack struct {
	ID      ObjectID `json:"id"`
	Objects int64    `json:"objects"`
	Bytes   int64    `json:"bytes"` // size of the .pack file
	// Storage is the folder that the pack lies in, if it is that of another repository,
	// as forks have it; "" is the repository's own.
	Storage string `json:"storage,omitempty"`
}

// RefResult is the answer to one update of a push. Reason is empty when the ref
// was moved; else it is what the client is shown after "ng".
type RefResult struct {
	Name   string
	Reason string
	Rule   string // that refused the update; "" if it was no rule of the repository's
}

// OK reports whether the update took effect.
func (r RefResult) OK() bool { return r.Reason == "" }
