package maintenance

import "time"

// State is how maintenance of a repository stands.
type State struct {
	Packs    int   // that the repository is read from
	Objects  int64 // in them; one that is in two counts twice
	Bytes    int64 // of them
	Bitmap   bool  // one of them has a bitmap
	Unlisted int   // packs and other files that are on their way out of the shared home

	Requested *time.Time // somebody waits for it since
	Started   *time.Time // of the last job, or the one under way
	Finished  *time.Time // nil while a job is under way
	Full      *time.Time // when all packs were last combined
	Node      string     // that did it
	Job       string
	Outcome   string // a sentence
	Failures  int    // in a row
}

// Running reports whether a job is under way, or its node has died.
func (s State) Running() bool { return s.Started != nil && s.Finished == nil }
