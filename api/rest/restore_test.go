package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
)

const restorePath = "/rest/annal/1.0/projects/PRJ/repos/repo/restore"

// move moves refs of PRJ/repo as a push without objects does.
func (w *world) move(updates ...git.RefUpdate) {
	w.t.Helper()
	appended, err := w.log.Append(w.t.Context(), eventstore.Proposal{
		Stream: domain.RepositoryStream(1), Expect: eventstore.Any, Claim: repository.PushRefs{Updates: updates, Atomic: true},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range appended.Outcome.([]git.RefResult) {
		if !r.OK() {
			w.t.Fatal(r)
		}
	}
}

func (w *world) refs() string {
	w.t.Helper()
	var all []string
	for _, what := range []string{"/branches", "/tags"} {
		a := w.ok(admin, "GET", repoPath+what+"?limit=100", "", 200)
		ids, commits := a.values("id"), a.values("latestCommit")
		for i := range ids {
			all = append(all, ids[i]+" "+commits[i])
		}
	}
	return strings.Join(all, "\n") + w.ok(admin, "GET", repoPath+"/default-branch", "", 200).Body.String()
}

func TestRestoreRefs(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	before, position := w.refs(), w.head()
	id := func(name string) git.ObjectID { return git.MustParseObjectID(ids[name]) }
	w.move(
		git.RefUpdate{Name: "refs/heads/main", Old: id("main"), New: id("first"), Forced: true},
		git.RefUpdate{Name: "refs/heads/side", Old: id("side")},
		git.RefUpdate{Name: "refs/heads/later", New: id("first")},
	)
	w.ok(owner, "PUT", repoPath+"/default-branch", `{"id":"refs/heads/later"}`, 204)
	after := w.refs()

	body := func(more string) string { return fmt.Sprintf(`{"at":"%d"%s}`, position, more) }
	changes := fmt.Sprintf(`'changes':[
		{'refId':'refs/heads/main','fromHash':'%[1]s','toHash':'%[2]s','type':'UPDATE','forced':false},
		{'refId':'refs/heads/side','fromHash':'%[4]s','toHash':'%[3]s','type':'ADD','forced':false},
		{'refId':'refs/heads/later','fromHash':'%[1]s','toHash':'%[4]s','type':'DELETE','forced':false}]`, ids["first"], ids["main"], ids["side"], strings.Repeat("0", 40))
	for _, user := range []string{writer, reader} {
		w.ok(user, "POST", restorePath, body(""), 401)
	}
	w.ok(outsider, "POST", restorePath, body(""), 404)
	w.ok(nobody, "POST", restorePath, body(""), 401)
	dry := w.ok(owner, "POST", restorePath, body(`,"dryRun":true`), 200)
	dry.is(fmt.Sprintf(`{'position':%d,'dryRun':true,'defaultBranch':{'from':'refs/heads/later','to':'refs/heads/main'},%s}`, position, changes))
	if w.refs() != after {
		t.Error("a dry run has moved refs")
	}
	// One ref alone, backwards.
	w.ok(owner, "POST", restorePath, body(`,"ref":"refs/heads/side"`), 200)
	w.ok(owner, "POST", restorePath, body(`,"ref":"refs/heads/later"`), 409) // the default branch
	w.ok(owner, "POST", restorePath, body(`,"ref":"refs/heads/none"`), 404)
	w.ok(owner, "POST", restorePath, body(`,"ref":"none"`), 400)
	head := w.head()
	w.ok(owner, "POST", restorePath, body(""), 200)
	if got := w.refs(); got != before {
		t.Errorf("after the restore\n%s\nbefore\n%s", got, before)
	}
	if w.head() != head+2 {
		t.Errorf("a restore made %d events, want 2", w.head()-head)
	}
	stored, _, err := w.log.ReadEvent(t.Context(), head+1)
	if err != nil || !strings.Contains(string(stored.Body), fmt.Sprintf(`"options":["annal.restore=%d"]`, position)) {
		t.Errorf("the event does not say what it is: %s %v", stored.Body, err)
	}
	w.ok(owner, "POST", restorePath, body(""), 200).is(fmt.Sprintf(`{'position':%d,'dryRun':false,'defaultBranch':null,'changes':[]}`, position))
	if w.head() != head+2 {
		t.Error("a restore that changes nothing made an event")
	}
	// And back to what it was before the restore: nothing is lost.
	back := w.ok(owner, "POST", restorePath, fmt.Sprintf(`{"at":"%d"}`, head), 200).Body.String()
	if want := `"fromHash":"` + ids["main"] + `","toHash":"` + ids["first"] + `","type":"UPDATE","forced":true`; !strings.Contains(back, want) {
		t.Errorf("%s is not in %s", want, back)
	}
	if got := w.refs(); strings.Contains(got, "refs/heads/main "+ids["main"]) || !strings.Contains(got, "refs/heads/later") {
		t.Errorf("after the restore of before the restore\n%s", got)
	}
	for _, bad := range []string{`{}`, `{"at":"x"}`, `{"at":""}`} {
		w.ok(owner, "POST", restorePath, bad, 400)
	}
	for _, bad := range []string{`{"at":"1"}`, `{"at":"100000"}`} {
		w.ok(owner, "POST", restorePath, bad, 404)
	}
}
