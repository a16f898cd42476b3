package refs

import (
	"context"
	"fmt"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
)

// Push appends a push to the log, whose Arbiter decides it, and returns one result for
// each update. If the database is lost while committing, the log finds out whether the push
// happened, and does not do it twice. Errors are
// those of eventstore.Log.Append; a repository that is gone is a *domain.NotFoundError.
func Push(ctx context.Context, log *eventstore.Log, id domain.RepositoryID, push repository.PushRefs, meta domain.Metadata) ([]git.RefResult, error) {
	appended, err := log.Append(ctx, eventstore.Proposal{
		Stream: domain.RepositoryStream(id), Claim: push, Meta: meta,
	})
	if err != nil {
		return nil, err
	}
	if appended.Found {
		return foundResults(push, appended.Events), nil
	}
	results, ok := appended.Outcome.([]git.RefResult)
	if !ok {
		return nil, fmt.Errorf("a push came back as %T", appended.Outcome)
	}
	return results, nil
}

// foundResults answers a push whose commit was found in the log after the answer to
// it was lost: the refs in its event moved, and the others did not.
func foundResults(push repository.PushRefs, events []domain.Recorded) []git.RefResult {
	type move struct {
		name     string
		from, to git.ObjectID
	}
	moved := map[move]bool{}
	for _, e := range events {
		event, _ := e.Event.(repository.RefsUpdated) // the first push also sets the default branch
		for _, u := range event.Updates {
			moved[move{u.Name, u.Old, u.New}] = true
		}
	}
	results := make([]git.RefResult, len(push.Updates))
	for i, u := range push.Updates {
		results[i].Name = u.Name
		if !moved[move{u.Name, u.Old, u.New}] {
			results[i].Reason = "refused; the reason was lost with the connection to the database"
		}
	}
	return results
}
