package lfs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/lfs"
)

func TestParseOID(t *testing.T) {
	t.Parallel()
	right := strings.Repeat("0123456789abcdef", 4)
	if oid, err := lfs.ParseOID(right); err != nil || oid.String() != right {
		t.Errorf("%s, %v", oid, err)
	}
	for _, wrong := range []string{"", right[1:], right + "0", strings.ToUpper(right), "../" + right[3:], "%2f" + right[3:], right[1:] + "g", right[2:] + "é"} {
		if _, err := lfs.ParseOID(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestLocks(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"a": true, "a/b.psd": true, "a b/ü.png": true, "": false, "/a": false, "a/": false, "a//b": false, "../a": false, "a/../b": false,
		".": false, "..": false, "./a": false, "a\x00b": false, "a\nb": false, "a\xff": false, strings.Repeat("x", lfs.MaxPath+1): false, "..a": true,
	} {
		if _, err := lfs.Take(lfs.Lock{Path: path}, 0); (err == nil) != want {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := lfs.Take(lfs.Lock{Path: "a"}, lfs.MaxLocks); err == nil {
		t.Error("there is no end of locks")
	}
	lock := lfs.Lock{ID: 1, Repository: 2, Path: "a", Owner: 3}
	for _, tt := range []struct {
		by                domain.UserID
		force, administer bool
		want              bool
	}{{3, false, false, true}, {4, false, false, false}, {4, false, true, false}, {4, true, false, false}, {4, true, true, true}} {
		released, err := lock.Release(tt.by, tt.force, tt.administer)
		if refused := new(lfs.NotOwnerError); (err == nil) != tt.want || err != nil && !errors.As(err, &refused) || err == nil && released.Forced != (tt.by != 3) {
			t.Errorf("%+v: %+v, %v", tt, released, err)
		}
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	room := lfs.Room{Quota: 10, ProjectUsed: 90, ProjectQuota: 100, Used: 1}
	var full *lfs.QuotaError
	if err := room.Take(10); !errors.As(err, &full) || full.Project || full.Used != 1 {
		t.Errorf("%v", err)
	}
	if err := room.Take(9); err != nil {
		t.Error(err)
	}
	room.Quota = 0
	if err := room.Take(2); !errors.As(err, &full) || !full.Project || full.Used != 99 {
		t.Errorf("%v", err)
	}
	if err := room.Take(1<<63 - 1); err == nil {
		t.Error("the largest number fits")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	repository, project := lfs.Target{Repository: 1}, lfs.Target{Project: 1}
	events, err := lfs.Change(lfs.Settings{}, repository, lfs.Settings{Off: true, Quota: 5})
	if err != nil || len(events) != 1 || lfs.Evolve(lfs.Settings{}, events[0]) != (lfs.Settings{Off: true, Quota: 5}) {
		t.Errorf("%v, %v", events, err)
	}
	if events, err := lfs.Change(lfs.Settings{Quota: 5}, project, lfs.Settings{Quota: 5}); err != nil || len(events) > 0 {
		t.Errorf("%v, %v", events, err)
	}
	for _, wrong := range []lfs.Settings{{Quota: -1}, {Off: true}} {
		if _, err := lfs.Change(lfs.Settings{}, project, wrong); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}
