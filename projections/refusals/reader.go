package refusals

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader lists refusals. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db: db} }

// Recorded is a refusal as it was written down.
type Recorded struct {
	ID         int64               `json:"id"` // rises with time, with gaps
	At         time.Time           `json:"at"`
	Kind       Kind                `json:"kind"`
	UserID     domain.UserID       `json:"userId,omitempty"`
	User       string              `json:"user,omitempty"`     // what he is called now
	NameHash   string              `json:"nameHash,omitempty"` // of a name that was tried and that no user had
	Address    string              `json:"address,omitempty"`
	Project    string              `json:"project,omitempty"`    // key, "" if there is no such project any more
	Repository string              `json:"repository,omitempty"` // slug, likewise
	RepoID     domain.RepositoryID `json:"repositoryId,omitempty"`
	Need       string              `json:"need,omitempty"` // the permission or the rule
	Ref        string              `json:"ref,omitempty"`
	Request    string              `json:"request,omitempty"`
	Times      int64               `json:"times"` // 1, but for those that were dropped
}

// Filter narrows a list; zero fields do not.
type Filter struct {
	User       domain.UserID
	Repository domain.RepositoryID
	Address    string
	Kind       Kind
	Since      time.Time
}

// List lists refusals, the newest first. more says that the list goes on.
func (r *Reader) List(ctx context.Context, f Filter, start, limit int) (list []Recorded, more bool, err error) {
	var since *time.Time
	if !f.Since.IsZero() {
		since = &f.Since
	}
	rows, err := r.db.Query(ctx, `
		select r.id, r.at, r.kind, coalesce(r.user_id, 0), coalesce(u.name, ''), r.name_hash, r.address,
			coalesce(p.key, ''), coalesce(o.slug, ''), coalesce(r.repository, 0), r.need, r.ref, r.request, r.times
		from access.refusals r left join access.users u on u.id = r.user_id
		left join repositories o on o.id = r.repository left join projects p on p.id = coalesce(o.project_id, r.project)
		where ($1 = 0 or r.user_id = $1) and ($2 = 0 or r.repository = $2) and ($3 = '' or r.address = $3) and ($4 = '' or r.kind = $4)
		and ($5::timestamptz is null or r.at >= $5)
		order by r.id desc offset $6 limit $7`, f.User, f.Repository, f.Address, string(f.Kind), since, start, limit+1)
	if err != nil {
		return nil, false, failed(err)
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Recorded, err error) {
		var name []byte
		err = row.Scan(&r.ID, &r.At, &r.Kind, &r.UserID, &r.User, &name, &r.Address, &r.Project, &r.Repository, &r.RepoID, &r.Need, &r.Ref, &r.Request, &r.Times)
		r.NameHash = hex.EncodeToString(name)
		return r, err
	})
	if err != nil {
		return nil, false, failed(err)
	}
	if len(list) > limit {
		return list[:limit], true, nil
	}
	return list, false, nil
}
