package refs

import (
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections"
)

// NewFold implements projections.Folder.
func (Projection) NewFold() projections.Fold {
	return &fold{states: map[domain.RepositoryID]stateFold{}, refs: map[refKey]refRow{}, packs: map[packKey]packChange{}}
}

// Independent implements projections.Folder.
func (Projection) Independent() bool { return false }

// fold is what a range of the log makes of the tables. It implements projections.Fold.
type fold struct {
	states map[domain.RepositoryID]stateFold
	refs   map[refKey]refRow // with the zero id where a ref was deleted
	packs  map[packKey]packChange
	bytes  int
}

// stateFold is a repository's row; nil is what was said before the range.
type stateFold struct {
	storage, head     *string
	deleted           *bool
	removed           *int64
	fork              bool
	version, position int64
}

func (s stateFold) then(later stateFold) stateFold {
	if later.storage == nil {
		later.storage = s.storage
	}
	if later.head == nil {
		later.head = s.head
	}
	if later.deleted == nil {
		later.deleted = s.deleted
	}
	if later.removed == nil {
		later.removed = s.removed
	}
	later.fork = later.fork || s.fork
	return later
}

// What a row takes in memory, with its share of the map, in bytes.
const (
	stateBytes = 250
	refBytes   = 150
	packBytes  = 200
)

// Add implements projections.Fold.
func (f *fold) Add(events []domain.Recorded) {
	yes, no := true, false
	for _, e := range events {
		id, ok := repositoryOf(e.Stream)
		if !ok {
			continue
		}
		s := stateFold{version: e.Version, position: e.Position}
		switch event := e.Event.(type) {
		case repository.Created:
			s.storage, s.head, s.deleted, s.removed = &event.Storage, &event.DefaultBranch, &no, new(int64)
		case repository.DefaultBranchChanged:
			s.head = &event.New
		case repository.Deleted:
			s.deleted = &yes
		case repository.Restored:
			s.deleted = &no
		case repository.RefsUpdated:
			for _, u := range event.Updates {
				f.setRef(refKey{id, u.Name}, refRow{id: u.New, peeled: u.Peeled})
			}
		case repository.Forked:
			s.fork = true
		case repository.PacksRemoved:
			s.removed = &e.Version
		}
		packChanges(e, func(pack git.ObjectID, change packChange) { f.changePack(packKey{id, pack}, change) })
		f.setState(id, s)
	}
}

func (f *fold) setState(id domain.RepositoryID, later stateFold) {
	before, known := f.states[id]
	if !known {
		f.bytes += stateBytes
	}
	f.states[id] = before.then(later)
}

func (f *fold) setRef(key refKey, row refRow) {
	if _, known := f.refs[key]; !known {
		f.bytes += refBytes + len(key.name)
	}
	f.refs[key] = row
}

func (f *fold) changePack(key packKey, change packChange) {
	before, known := f.packs[key]
	if !known {
		f.bytes += packBytes
	}
	f.packs[key] = before.then(change)
}

// Merge implements projections.Fold.
func (f *fold) Merge(fold projections.Fold) {
	later := asFold(fold)
	for id, s := range later.states {
		f.setState(id, s)
	}
	for key, row := range later.refs {
		f.setRef(key, row)
	}
	for key, change := range later.packs {
		f.changePack(key, change)
	}
}

func asFold(f projections.Fold) *fold { return f.(*fold) }

// Bytes implements projections.Fold.
func (f *fold) Bytes() int { return f.bytes }

// Rows implements projections.Fold.
func (f *fold) Rows(table string) ([]string, pgx.CopyFromSource) {
	var rows [][]any
	switch table {
	case "repository_state":
		for id, s := range f.states {
			if s.storage != nil {
				rows = append(rows, []any{int64(id), *s.storage, *s.head, *s.deleted, *s.removed, s.fork, s.version, s.position})
			}
		}
		return []string{"repository", "storage", "head", "deleted", "removed", "fork", "version", "position"}, pgx.CopyFromRows(rows)
	case "refs":
		for key, row := range f.refs {
			if !row.id.IsZero() {
				rows = append(rows, []any{int64(key.repository), key.name, row.id[:], optional(row.peeled)})
			}
		}
		return []string{"repository", "name", "id", "peeled"}, pgx.CopyFromRows(rows)
	default:
		for key, change := range f.packs {
			if row := change.row; row != nil {
				rows = append(rows, []any{int64(key.repository), key.pack[:], row.position, row.pack.Objects, row.pack.Bytes, row.pack.Bitmap, row.pack.Storage})
			}
		}
		return []string{"repository", "pack", "position", "objects", "bytes", "bitmap", "storage"}, pgx.CopyFromRows(rows)
	}
}
