package maintenance

import "time"

// State is how maintenance of a repository stands. Its JSON has the names that REST gives.
type State struct {
	Packs    int   `json:"packs"`    // that the repository is read from
	Objects  int64 `json:"objects"`  // in them; one that is in two counts twice
	Bytes    int64 `json:"bytes"`    // of them
	Bitmap   bool  `json:"bitmap"`   // one of them has a bitmap
	Unlisted int   `json:"unlisted"` // packs and other files that are on their way out of the shared home

	Requested *time.Time `json:"requested,omitempty"` // somebody waits for it since
	Started   *time.Time `json:"started,omitempty"`   // of the last job, or the one under way
	Finished  *time.Time `json:"finished,omitempty"`  // nil while a job is under way
	Full      *time.Time `json:"full,omitempty"`      // when all packs were last combined
	Node      string     `json:"node,omitempty"`      // that did it
	Job       string     `json:"job,omitempty"`
	Outcome   string     `json:"outcome,omitempty"` // a sentence
	Failures  int        `json:"failures"`          // in a row
}

// Running reports whether a job is under way, or its node has died.
func (s State) Running() bool { return s.Started != nil && s.Finished == nil }
