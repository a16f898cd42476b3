package tree

// Resume lets tests read a tree's edge from its files.
var Resume = resume

// Tidy lets tests remove what no checkpoint needs.
func (f Folder) Tidy(oldest, older int64) { f.tidy(oldest, older) }

// Dir is the folder's place.
func (f Folder) Dir() string { return f.dir }
