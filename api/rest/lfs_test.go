package rest_test

import (
	"testing"

	"github.com/annal-git/annal/domain/lfs"
)

func TestLFSSettings(t *testing.T) {
	w := newWorld(t)
	const enabled = "/rest/git-lfs/admin/projects/PRJ/repos/repo/enabled"
	const repository, project = "/rest/annal/1.0/projects/PRJ/repos/repo/lfs", "/rest/annal/latest/projects/PRJ/lfs"
	w.ok(reader, "GET", enabled, "", 204)
	w.ok(writer, "DELETE", enabled, "", 401)
	w.ok(outsider, "GET", enabled, "", 404)
	w.ok(nobody, "GET", enabled, "", 401)
	w.ok(owner, "DELETE", enabled, "", 204)
	before := w.head()
	w.ok(owner, "DELETE", enabled, "", 204)
	if w.head() != before {
		t.Error("switching off what is off is an event")
	}
	w.ok(reader, "GET", enabled, "", 404)
	w.ok(owner, "GET", repository, "", 200).is(`{'enabled':false,'quota':0,'objects':0,'size':0}`)
	w.ok(owner, "PUT", enabled, "", 204)

	for _, target := range []string{repository, project} {
		w.ok(owner, "PUT", target, `{"quota":5}`, 401)
		w.ok(manager, "PUT", target, `{"quota":5}`, 401)
		w.ok(writer, "GET", target, "", 401)
		w.ok(outsider, "GET", target, "", 404)
		w.ok(admin, "PUT", target, `{}`, 400)
		w.ok(admin, "PUT", target, `{"quota":-1}`, 400)
		w.ok(admin, "PUT", target, `{"quota":"5"}`, 400)
	}
	w.ok(admin, "PUT", repository, `{"quota":5000}`, 200).is(`{'enabled':true,'quota':5000,'objects':0,'size':0}`)
	w.ok(admin, "PUT", project, `{"quota":9000}`, 200).is(`{'quota':9000,'objects':0,'size':0}`)
	w.append(lfs.Stream(1), lfs.ObjectAdded{Repository: 1, OID: lfs.OID{1}, Size: 4000})
	w.ok(owner, "GET", repository, "", 200).is(`{'enabled':true,'quota':5000,'objects':1,'size':4000}`)
	w.ok(owner, "GET", project, "", 200).is(`{'quota':9000,'objects':1,'size':4000}`)
}
