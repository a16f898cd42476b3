package uploadpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// FuzzServe sends any bytes as a request of any version. Whatever they are, the
// answer is packet lines, and an error is the client's.
func FuzzServe(f *testing.F) {
	repository := gitfstest.NewRepository(f, 12)
	s, config := gitfstest.NewStore(f)
	memory := gitfstest.Serve(f, config, repository)
	snapshot, err := memory.Snapshot(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	objects := gitfstest.Pin(f, s, snapshot.Packs...)
	server := uploadpack.New(uploadpack.Config{Agent: "annal/test", Commits: revwalk.NewCache(1 << 20)})

	pkt := func(lines ...string) string {
		var b strings.Builder
		for _, line := range lines {
			if line == "0000" || line == "0001" {
				b.WriteString(line)
			} else {
				fmt.Fprintf(&b, "%04x%s", len(line)+4, line)
			}
		}
		return b.String()
	}
	main, old := gitfstest.Git(f, repository, "rev-parse", "main"), gitfstest.Git(f, repository, "rev-parse", "main~4")
	for _, seed := range []string{
		"0000", "0003", pkt("command=ls-refs", "agent=x", "0001", "peel", "symrefs", "unborn", "ref-prefix refs/", "0000"),
		pkt("command=fetch", "object-format=sha1", "0001", "thin-pack", "ofs-delta", "include-tag", "want "+main, "have "+old, "done", "0000"),
		pkt("command=fetch", "0001", "want "+main, "have "+old, "0000"),
		pkt("command=fetch", "0001", "want "+main, "shallow "+old, "deepen 3", "deepen-relative", "filter blob:none", "done", "0000"),
		pkt("command=fetch", "0001", "want-ref HEAD", "deepen-since 1600000000", "wait-for-done", "have "+old, "0000"),
		pkt("command=fetch", "0001", "want "+main, "deepen-not refs/heads/side", "filter tree:1", "no-progress", "done", "0000"),
		pkt("command=object-info", "0001", "size", "oid "+main, "0000"),
		pkt("want "+main+" multi_ack_detailed no-done side-band-64k thin-pack ofs-delta", "0000", "have "+old, "0000", "have "+main, "done"),
		pkt("want "+main+" side-band", "deepen 1", "0000", "done"), pkt("want "+main, "0000", "done"),
	} {
		for version := range 3 {
			f.Add(byte(version), true, []byte(seed))
			f.Add(byte(version), false, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, version byte, stateless bool, input []byte) {
		var out bytes.Buffer
		err := server.Serve(t.Context(), bytes.NewReader(input), &out, &uploadpack.Repository{Snapshot: snapshot, Objects: objects, Hides: version&4 != 0},
			uploadpack.Transport{Version: protocol.Version(version % 3), Stateless: stateless})
		var refusal *protocol.Refusal
		var format *pktline.FormatError
		var filter *revwalk.FilterError
		if err != nil && !errors.As(err, &refusal) && !errors.As(err, &format) && !errors.As(err, &filter) &&
			!errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, revwalk.ErrNothingSelected) {
			t.Fatalf("%q: %v", input, err)
		}
		r := pktline.NewReader(&out)
		for {
			p, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil { // a pack without side-band
				rest, _ := io.ReadAll(r.Rest())
				if !bytes.HasPrefix(rest, []byte("PACK")) {
					t.Fatalf("%q is answered by no packet: %q", input, rest)
				}
				return
			}
			_ = p
		}
	})
}
