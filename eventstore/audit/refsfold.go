package audit

import (
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// RefsFold is the fold of all pushes at the end of what was read.
type RefsFold struct{ v *verifier }

// Position is that of the last event in it.
func (r *RefsFold) Position() int64 { return r.v.next - 1 }

// Found takes note of a ref that a table has. What is not noted until Finish is missing
// in the table.
func (r *RefsFold) Found(repo domain.RepositoryID, name string, id git.ObjectID) {
	of := r.v.refs.repositories[repo]
	if of == nil || of.refs[name] == nil {
		r.v.findings.atEnd(Refs, r.Position(), "%s of repository %d is at %s in the table, but no event has put it there", name, repo, id)
		return
	}
	known := of.refs[name]
	if known.id != id {
		r.v.findings.atEnd(Refs, known.position, "%s of repository %d is at %s in the table, but this event has put it at %s", name, repo, id, known.id)
	}
	delete(of.refs, name)
}

// Finish names what the table does not have.
func (r *RefsFold) Finish() {
	for repo, of := range r.v.refs.repositories {
		for name, known := range of.refs {
			if known.id.IsZero() {
				continue
			}
			r.v.findings.atEnd(Refs, known.position, "%s of repository %d, which this event has put at %s, is missing in the table", name, repo, known.id)
		}
	}
}

// Push moves the fold on by a push behind its position.
func (r *RefsFold) Push(position int64, id domain.RepositoryID, event repository.RefsUpdated) {
	r.v.refs.push(&r.v.findings, position, id, event)
}
