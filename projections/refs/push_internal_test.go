package refs

import (
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// The answer to a push that was found in the log says of each ref whether it moved.
func TestFoundResults(t *testing.T) {
	one, two := git.ObjectID{1}, git.ObjectID{2}
	push := repository.PushRefs{Updates: []git.RefUpdate{
		{Name: "refs/heads/main", New: one},
		{Name: "refs/heads/stale", Old: one, New: two},
	}}
	results := foundResults(push, []domain.Recorded{
		{Event: repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/main", New: one, Peeled: two}}}},
		{Event: repository.DefaultBranchChanged{New: "refs/heads/main"}},
	})
	if len(results) != 2 || !results[0].OK() || results[1].OK() {
		t.Errorf("%+v", results)
	}
}
