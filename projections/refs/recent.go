package refs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// recentPushes bounds how many pushes are looked back over.
const recentPushes = 1000

// RecentTips lists what the refs of a repository named within a time before now and no
// longer do: a client that was told of a ref just before it moved may still ask for it.
func (r *Reader) RecentTips(ctx context.Context, id domain.RepositoryID, within time.Duration) ([]git.ObjectID, error) {
	rows, err := r.pool.Query(ctx, `
		select distinct u.value->>'old'
		from (select at, body from events where stream = $1 order by version desc limit $2) e
		cross join json_array_elements(e.body->'updates') u
		where e.at > clock_timestamp() - $3::interval and u.value->>'old' <> repeat('0', 40)`,
		string(domain.RepositoryStream(id)), recentPushes, within)
	if err != nil {
		return nil, fmt.Errorf("read recent tips: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (git.ObjectID, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return git.ZeroID, err
		}
		return git.ParseObjectID(text)
	})
}
