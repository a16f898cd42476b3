package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/annotate"
	"github.com/annal-git/annal/gitfs/object"
)

// Tagger makes the objects of annotated tags. It is an annotate.Tagger.
type Tagger interface {
	Make(ctx context.Context, s *gitfs.Snapshot, tag annotate.Tag) (git.ObjectID, *git.Pack, error)
}

type tagBody struct {
	Name       string `json:"name"`
	StartPoint string `json:"startPoint"`
	Message    string `json:"message"`
	Type       string `json:"type"`  // ANNOTATED or LIGHTWEIGHT; by the message if it is left out
	Force      bool   `json:"force"` // move the tag if it exists
}

func (b tagBody) annotated() (bool, error) {
	switch b.Type {
	case "":
		return b.Message != "", nil
	case "LIGHTWEIGHT":
		return false, nil
	case "ANNOTATED":
		if strings.TrimSpace(b.Message) == "" {
			return false, domain.Invalid("message", "An annotated tag needs a message.")
		}
		return true, nil
	}
	return false, domain.Invalid("type", "A tag is ANNOTATED or LIGHTWEIGHT.")
}

// createTag answers with a status, in which the two APIs for it differ.
func (a *API) createTag(status int) handler {
	return func(c *call) error {
		r, err := a.open(c, rights.RepoWrite)
		if err != nil {
			return err
		}
		var body tagBody
		if err := c.decode(&body); err != nil {
			return err
		}
		name := "refs/tags/" + strings.TrimPrefix(body.Name, "refs/tags/")
		if err := git.CheckRefName(name); err != nil {
			return domain.Invalid("name", "%s.", err)
		}
		if body.StartPoint == "" {
			return domain.Invalid("startPoint", "The start point of the tag is required.")
		}
		annotated, err := body.annotated()
		if err != nil {
			return err
		}
		commit, err := r.commit(c.ctx(), body.StartPoint)
		if err != nil {
			return err
		}
		old, exists := r.Refs.Get(name)
		if exists && !body.Force {
			return tagInTheWay(name)
		}
		push := repository.PushRefs{Updates: []git.RefUpdate{{Name: name, Old: old.ID, New: commit, Forced: exists}}, Atomic: true, Base: r.Version}
		if push, err = a.judged(c, r, push); err != nil {
			return err
		}
		ref, results, err := a.tag(c, r, push, body, annotated)
		if err != nil {
			return err
		}
		for _, result := range results {
			if !result.OK() {
				return tagInTheWay(name)
			}
		}
		return c.json(status, newRestTag(ref))
	}
}

// tag makes the tag that a push asks for, as one with an object of its own if it is to be
// annotated. Maintenance may remove packs meanwhile: then that object is stored again.
func (a *API) tag(c *call, r repositoryAt, push repository.PushRefs, body tagBody, annotated bool) (git.Ref, []git.RefResult, error) {
	update := &push.Updates[0]
	ref, commit := git.Ref{Name: update.Name, ID: update.New}, update.New
	if update.New == update.Old {
		return ref, nil, nil
	}
	for range maxRemovals {
		if annotated {
			id, pack, err := a.Tagger.Make(c.ctx(), r.Snapshot, annotate.Tag{
				Name: git.ShortName(ref.Name), Target: commit, TargetType: object.TypeCommit,
				TaggerName: c.caller.User.DisplayName, TaggerEmail: c.caller.User.Email, When: a.Now(), Message: body.Message,
			})
			if err != nil {
				return ref, nil, err
			}
			ref.ID, ref.Peeled = id, commit
			update.New, update.Peeled, push.Pack = id, commit, pack
		}
		results, err := a.push(c, r, push)
		var removed *repository.PacksRemovedError
		if errors.As(err, &removed) {
			push.Base = removed.Version
			continue
		}
		return ref, results, err
	}
	return ref, nil, domain.Conflict("", "The repository is being tidied up. Try again.")
}

// maxRemovals bounds how often a tag is made again because packs were removed.
const maxRemovals = 3

func tagInTheWay(name string) error {
	return &exceptionError{
		status: http.StatusConflict, exception: exceptionDuplicateRef,
		message: "Tag '" + git.ShortName(name) + "' cannot be created: it, or a tag whose name stands in its way, exists.",
	}
}

func (a *API) handleDeleteTag(c *call) error {
	r, err := a.open(c, rights.RepoWrite)
	if err != nil {
		return err
	}
	name := "refs/tags/" + strings.TrimPrefix(c.tail(), "refs/tags/")
	ref, ok := r.Refs.Get(name)
	if !ok {
		return domain.NotFound("tag", "Tag '%s' does not exist in repository '%s'.", clip(c.tail()), r.Slug)
	}
	push, err := a.judged(c, r, repository.PushRefs{Updates: []git.RefUpdate{{Name: name, Old: ref.ID}}, Atomic: true})
	if err != nil {
		return err
	}
	results, err := a.push(c, r, push)
	if err != nil {
		return err
	}
	for _, result := range results {
		if !result.OK() {
			return domain.Conflict("name", "The tag %q moved meanwhile. Look at it, and try again.", git.ShortName(name))
		}
	}
	return c.none()
}
