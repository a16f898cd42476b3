package rest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/annal-git/annal/projections/ratelimit"
)

const rateLimit = "/rest/api/latest/admin/rate-limit"

func TestRateLimitSettings(t *testing.T) {
	w := newWorld(t)
	w.ok(outsider, "GET", rateLimit+"/settings", "", 200).is(`{'enabled':false,'defaultSettings':{'capacity':60,'fillRate':5}}`)
	w.ok(manager, "PUT", rateLimit+"/settings", `{"enabled":true}`, 200).is(`{'enabled':true,'defaultSettings':{'capacity':60,'fillRate':5}}`)
	w.ok(manager, "PUT", rateLimit+"/settings", `{"defaultSettings":{"capacity":70,"fillRate":7}}`, 200).is(`{'enabled':true,'defaultSettings':{'capacity':70,'fillRate':7}}`)
	head := w.head()
	w.ok(manager, "PUT", rateLimit+"/settings", `{"enabled":true,"defaultSettings":{"capacity":70,"fillRate":7}}`, 200)
	if w.head() != head {
		t.Error("what was so already is an event")
	}
	for _, body := range []string{
		`{}`, `{"enabled":"yes"}`, `{"defaultSettings":{"capacity":70}}`, `{"defaultSettings":{"fillRate":7}}`,
		`{"defaultSettings":{"capacity":0,"fillRate":7}}`, `{"defaultSettings":{"capacity":70,"fillRate":-1}}`, `{"defaultSettings":{"capacity":1.5,"fillRate":1}}`,
		`{"defaultSettings":{"capacity":2147483648,"fillRate":1}}`,
	} {
		w.ok(manager, "PUT", rateLimit+"/settings", body, 400)
	}
	for _, user := range []string{outsider, nobody} {
		w.ok(user, "PUT", rateLimit+"/settings", `{"enabled":false}`, 401)
		w.ok(user, "GET", rateLimit+"/history", "", 401)
		w.ok(user, "GET", rateLimit+"/settings/users", "", 401)
		w.ok(user, "PUT", rateLimit+"/settings/users/reader", `{"whitelisted":true}`, 401)
		w.ok(user, "DELETE", rateLimit+"/settings/users/reader", "", 401)
	}
	w.ok(nobody, "GET", rateLimit+"/settings", "", 401)
}

func TestRateLimitsOfUsers(t *testing.T) {
	w := newWorld(t)
	const users = rateLimit + "/settings/users"
	shown := func(name, id string) string {
		return `'user':{'name':'` + name + `','emailAddress':'` + name + `@example.com','active':true,'displayName':'The ` + name + `','id':` + id + `,'slug':'` + name + `','type':'NORMAL',
			'links':{'self':[{'href':'https://git.example.com/annal/users/` + name + `'}]}}`
	}
	w.ok(manager, "GET", users+"/reader", "", 404)
	w.ok(manager, "GET", users+"/nobody", "", 404)
	w.ok(manager, "PUT", users+"/reader", `{"settings":{"capacity":2,"fillRate":1}}`, 200).is(`{` + shown("reader", "104") + `,'whitelisted':false,'settings':{'capacity':2,'fillRate':1}}`)
	w.ok(reader, "GET", users+"/reader", "", 200).is(`{` + shown("reader", "104") + `,'whitelisted':false,'settings':{'capacity':2,'fillRate':1}}`)
	w.ok(manager, "PUT", users+"/reader", `{"whitelisted":true}`, 200).is(`{` + shown("reader", "104") + `,'whitelisted':true}`)
	w.ok(manager, "GET", users+"/reader", "", 200).is(`{` + shown("reader", "104") + `,'whitelisted':true}`)

	w.ok(manager, "POST", users, `{"usernames":["writer","outsider"],"settings":{"capacity":600,"fillRate":50}}`, 200).is(
		`[{` + shown("writer", "103") + `,'whitelisted':false,'settings':{'capacity':600,'fillRate':50}},{` + shown("outsider", "105") + `,'whitelisted':false,'settings':{'capacity':600,'fillRate':50}}]`)
	for query, want := range map[string]string{"": "outsider reader writer", "?filter=WRIT": "writer", "?limit=1&start=1": "reader", "?filter=none": ""} {
		if got := strings.Join(w.ok(manager, "GET", users+query, "", 200).values("user", "name"), " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, body := range []string{
		`{}`, `{"whitelisted":false}`, `{"settings":{"capacity":1}}`, `{"settings":{"capacity":1,"fillRate":0}}`, `{"whitelisted":true,"settings":{"capacity":1,"fillRate":1}}`,
	} {
		w.ok(manager, "PUT", users+"/writer", body, 400)
		w.ok(manager, "POST", users, `{"usernames":["writer"],`+strings.TrimPrefix(body, "{"), 400)
	}
	w.ok(manager, "POST", users, `{"usernames":[],"whitelisted":true}`, 400)
	w.ok(manager, "POST", users, `{"usernames":["reader","who"],"whitelisted":true}`, 400)
	// Of those above him an administrator sees and sets nothing.
	w.ok(admin, "PUT", users+"/admin", `{"whitelisted":true}`, 200)
	w.ok(manager, "GET", users+"/admin", "", 401)
	w.ok(manager, "PUT", users+"/admin", `{"settings":{"capacity":1,"fillRate":1}}`, 401)
	w.ok(manager, "POST", users, `{"usernames":["admin"],"settings":{"capacity":1,"fillRate":1}}`, 401)
	w.ok(manager, "DELETE", users+"/writer", "", 204)
	w.ok(manager, "DELETE", users+"/writer", "", 404)
	w.ok(manager, "GET", users+"/writer", "", 404)
}

func TestRateLimited(t *testing.T) {
	w := newWorld(t)
	const path = "/rest/api/1.0/projects"
	w.ok(admin, "PUT", rateLimit+"/settings", `{"enabled":true,"defaultSettings":{"capacity":3,"fillRate":1}}`, 200)
	w.ok(admin, "PUT", rateLimit+"/settings/users/admin", `{"whitelisted":true}`, 200)
	w.ok(admin, "PUT", rateLimit+"/settings/users/writer", `{"settings":{"capacity":5,"fillRate":2}}`, 200)
	for user, capacity := range map[string]int{reader: 3, writer: 5, nobody: 3} {
		for range capacity {
			w.ok(user, "GET", path, "", 200)
		}
		a := w.ok(user, "GET", path, "", 429)
		if context, exception := a.exception(); context != "" || exception != "" || !strings.Contains(a.Body.String(), "Try again in 1 second") {
			t.Errorf("%s", a.Body)
		}
		if a.Header().Get("Retry-After") != "1" || a.Header().Get("X-RateLimit-Remaining") != "0" || a.Header().Get("X-RateLimit-Limit") != string(rune('0'+capacity)) {
			t.Errorf("%v", a.Header())
		}
		if user != nobody && a.Header().Get("X-AUSERNAME") != user {
			t.Errorf("refused as %q", a.Header().Get("X-AUSERNAME"))
		}
	}
	w.now = w.now.Add(time.Second) // as the answer says
	for user, more := range map[string]int{reader: 1, writer: 2, nobody: 1} {
		for range more {
			w.ok(user, "GET", path, "", 200)
		}
		w.ok(user, "GET", path, "", 429)
	}
	for range 20 {
		w.ok(admin, "GET", path, "", 200)
	}
	w.ok(admin, "PUT", rateLimit+"/settings", `{"enabled":false}`, 200)
	w.ok(reader, "GET", path, "", 200)
}

func TestRateLimitHistory(t *testing.T) {
	w := newWorld(t)
	w.ok(admin, "GET", rateLimit+"/history", "", 200).is(`{'size':0,'limit':25,'isLastPage':true,'values':[],'start':0,'nextPageStart':null}`)
	at := time.Now().Add(-time.Hour)
	ledger := ratelimit.NewLedger(w.pool)
	for _, refused := range [][]ratelimit.Refused{
		{{User: 104, Count: 5, Last: at}, {User: 103, Count: 1, Last: at.Add(time.Minute)}},
		{{User: 104, Count: 2, Last: at.Add(time.Second)}, {User: 105, Count: 9, Last: at.Add(-24 * time.Hour)}},
	} {
		if err := ledger.Record(t.Context(), refused); err != nil {
			t.Fatal(err)
		}
	}
	a := w.ok(admin, "GET", rateLimit+"/history", "", 200)
	if got := strings.Join(a.values("user", "name"), " "); got != "writer reader" {
		t.Errorf("the newest: %s", got)
	}
	if !strings.Contains(a.Body.String(), `"rejectCount":7`) {
		t.Errorf("%s", a.Body)
	}
	if got := strings.Join(w.ok(admin, "GET", rateLimit+"/history?order=frequency", "", 200).values("user", "name"), " "); got != "reader writer" {
		t.Errorf("the most frequent: %s", got)
	}
	if got := strings.Join(w.ok(admin, "GET", rateLimit+"/history?order=NEWEST&limit=1", "", 200).values("user", "name"), " "); got != "writer" {
		t.Errorf("a page: %s", got)
	}
	w.ok(admin, "GET", rateLimit+"/history?order=OLDEST", "", 400)
}
