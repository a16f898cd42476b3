package access_test

import (
	"fmt"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

// BenchmarkHeld judges a user who is in so many groups, of an installation with 2,000 users in
// 1,000 groups of 100 each besides. Each group holds something on ten projects of 1,000.
func BenchmarkHeld(b *testing.B) {
	for _, groups := range []int{0, 10, 1000} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			pool := eventstoretest.Database(b)
			for _, statement := range []string{
				`insert into users (id, name, slug, display_name, email, type)
					select n, 'u' || n, 'u' || n, '', '', 'NORMAL' from generate_series(1, 2001) n`,
				`insert into groups (id, name) select n, 'g' || n from generate_series(1, 2000) n`,
				`insert into memberships (user_id, group_id)
					select 2 + (g * 37 + m) % 2000, 1000 + g from generate_series(1, 1000) g, generate_series(1, 100) m`,
				fmt.Sprintf(`insert into memberships (user_id, group_id) select 1, n from generate_series(1, %d) n`, groups),
				`insert into group_grants (group_id, level, target, permission, rank)
					select g, 'project', 1 + (g * 13 + p * 101) % 1000, 'PROJECT_READ', 1 from generate_series(1, 2000) g, generate_series(1, 10) p`,
				`insert into group_grants (group_id, level, target, permission, rank) values (1, 'global', 0, 'LICENSED_USER', 1)`,
				`insert into grants (user_id, level, target, permission, rank)
					select n, 'global', 0, 'LICENSED_USER', 1 from generate_series(1, 2001) n`,
				`insert into project_defaults (project, permission, rank) select n, 'PROJECT_READ', 1 from generate_series(1, 500) n`,
				`analyze users, groups, memberships, group_grants, grants, project_defaults`,
			} {
				if _, err := pool.Exec(b.Context(), statement); err != nil {
					b.Fatal(err)
				}
			}
			reader := access.NewReader(pool)
			for i := 0; b.Loop(); i++ {
				project := domain.ProjectID(1 + i%1000)
				if _, err := reader.Held(b.Context(), 1, project, domain.RepositoryID(project)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
