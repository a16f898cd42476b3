package rest_test

import (
	"path/filepath"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/projections/catalog"
)

// history is what PRJ/repo holds once it has been pushed to.
const history = `commit refs/heads/main
mark :1
author Ada <ada@example.com> 1700000000 +0100
committer Cleo <cleo@example.com> 1700000100 -0330
data 12
First

Why.

M 100644 inline README.md
data 14
# Title
Text

M 100644 inline docs/a b.txt
data 3
one
M 100644 inline docs/deep/er.html
data 25
<script>alert(1)</script>
M 100644 inline image.png
data 8
` + "\x89PNG\x00\x01\x02\x03" + `
M 120000 inline link
data 9
README.md
M 160000 1111111111111111111111111111111111111111 vendor/other

commit refs/heads/feature/one
mark :2
author Ada <ada@example.com> 1700001000 +0100
committer Cleo <cleo@example.com> 1700001100 -0330
data 7
Second
from :1
M 100644 inline docs/a b.txt
data 3
two

commit refs/heads/side
mark :3
author Ada <ada@example.com> 1700000500 +0000
committer Ada <ada@example.com> 1700000500 +0000
encoding ISO-8859-1
data 6
` + "caf\xe9\n" + `
from :1
M 100644 inline side.txt
data 4
side

commit refs/heads/main
mark :4
author Ada <ada@example.com> 1700002000 +0000
committer Ada <ada@example.com> 1700002000 +0000
data 6
Merge
from :1
merge :2

tag v1.0
from :1
tagger Ada <ada@example.com> 1700000200 +0000
data 4
One

reset refs/tags/release/light
from :4

done
`

// push fills PRJ/repo with the history above, and returns where git has it and
// the ids of its refs.
func (w *world) push() (dir string, ids map[string]string) {
	w.t.Helper()
	dir = filepath.Join(w.t.TempDir(), "repository.git")
	gitfstest.Git(w.t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	gitfstest.GitInput(w.t, dir, []byte(history), "fast-import", "--quiet")
	r, err := catalog.NewReader(w.pool).RepositoryByID(w.t.Context(), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	pack := gitfstest.Install(w.t, w.home, r.Storage, gitfstest.PackFile(w.t, dir))
	ids = map[string]string{}
	push := repository.PushRefs{Pack: &pack}
	for line := range strings.Lines(gitfstest.Git(w.t, dir, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)")) {
		fields := strings.Fields(line)
		u := git.RefUpdate{Name: fields[0], New: git.MustParseObjectID(fields[1])}
		if len(fields) > 2 {
			u.Peeled = git.MustParseObjectID(fields[2])
		}
		ids[git.ShortName(u.Name)] = fields[1]
		push.Updates = append(push.Updates, u)
	}
	ids["first"] = gitfstest.Git(w.t, dir, "rev-parse", "v1.0^{commit}")
	_, err = w.log.Append(w.t.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(1), Expect: eventstore.Any, Claim: push})
	if err != nil {
		w.t.Fatal(err)
	}
	return dir, ids
}
