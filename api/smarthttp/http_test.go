package smarthttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

const (
	uploadRequest  = "application/x-git-upload-pack-request"
	receiveRequest = "application/x-git-receive-pack-request"
)

// do sends one request as the writer and returns status and body.
func (s *site) do(t testing.TB, method, path, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	request.SetBasicAuth("writer", "secret")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(answer)
}

func pkt(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

// What an operator can mend is said, and not where.
func TestNoRoom(t *testing.T) {
	s := serve(t, "")
	s.allow(func(a *gitserver.Access) {
		a.Snapshot = func(context.Context) (*gitfs.Snapshot, error) {
			return nil, &fs.PathError{Op: "write", Path: "/secret/place", Err: syscall.ENOSPC}
		}
	})
	status, answer := s.do(t, "GET", "/scm/PRJ/repo.git/info/refs?service=git-upload-pack", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "This server has no room left. Tell its operator.\n", answer)
}

func TestServiceAndPathAgree(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	before := s.memory.Pushes()
	for _, tt := range []struct {
		path, contentType string
		status            int
	}{
		{"git-receive-pack?service=git-upload-pack", receiveRequest, 400},
		{"git-receive-pack", uploadRequest, 400},
		{"git-upload-pack?service=git-receive-pack", uploadRequest, 400},
		{"git-upload-pack", receiveRequest, 400},
		{"git-upload-pack", "", 400},
		{"git-upload-pack", "text/plain", 400},
		{"git-upload-pack?service=git-upload-pack&service=git-receive-pack", uploadRequest, 400},
		{"git-upload-pack?service=git-upload-pack", uploadRequest, 200},
		{"git-receive-pack?service=git-receive-pack", receiveRequest, 200},
		{"git-upload-archive", uploadRequest, 400},
		{"git-upload-archive?service=git-upload-pack", "application/x-git-upload-archive-request", 400},
		{"git-upload-nothing", uploadRequest, 404},
	} {
		status, _ := s.do(t, http.MethodPost, "/scm/PRJ/repo.git/"+tt.path, "0000", "Content-Type", tt.contentType)
		require.Equal(t, tt.status, status, "%s as %s", tt.path, tt.contentType)
	}
	for service, status := range map[string]int{"git-upload-pack": 200, "git-receive-pack": 200, "git-upload-archive": 400, "x": 400, "git-upload-pack&service=git-receive-pack": 400} {
		have, _ := s.do(t, http.MethodGet, "/scm/PRJ/repo.git/info/refs?service="+service, "")
		require.Equal(t, status, have, service)
	}
	require.Equal(t, before, s.memory.Pushes())
}

func TestMethods(t *testing.T) {
	s := serve(t, "")
	for path, allowed := range map[string]string{"info/refs?service=git-upload-pack": "GET", "git-upload-pack": "POST", "git-receive-pack": "POST"} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE", "TRACE", "PROPFIND", "MKCOL", "LOCK"} {
			if method == allowed {
				continue
			}
			status, _ := s.do(t, method, "/scm/PRJ/repo.git/"+path, "")
			require.Equal(t, http.StatusMethodNotAllowed, status, "%s %s", method, path)
		}
	}
}

func TestNamesInURLs(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	_, missing := s.do(t, http.MethodGet, "/scm/PRJ/none.git/info/refs?service=git-upload-pack", "")
	for path, want := range map[string]int{
		"/scm/PRJ/repo.git": 200, "/scm/prj/repo": 200, "/scm/Prj/REPO.GIT": 200, "/scm/~user/repo.git": 200, "/scm/%7Euser/repo": 200, "/scm/prj/%72epo.git": 200,
		"/scm/PRJ/repo.git.git": 404, "/scm/PRJ%2Frepo/x": 404, "/scm/PRJ/repo%2F..": 404, "/scm/PRJ/repo;x": 404, "/scm/PRJ/%2e%2e": 404, "/scm/PRJ/.git": 404,
		"/scm/PRJ/repo.": 404, "/scm/~/repo": 404, "/scm/PRJ/%2572epo": 404, "/scm/PRJ/repo%00": 404, "/scm/PRJ/" + strings.Repeat("x", 300): 404, "/scm/PRJ/é": 404,
	} {
		status, body := s.do(t, http.MethodGet, path+"/info/refs?service=git-upload-pack", "")
		require.Equal(t, want, status, path)
		if status == 404 {
			require.Equal(t, missing, body, path)
		}
	}
	for _, path := range []string{"HEAD", "config", "objects/info/alternates", "objects/info/packs", "hooks/post-receive", "objects/pack/x.pack", "info/lfs"} {
		status, body := s.do(t, http.MethodGet, "/scm/PRJ/repo.git/"+path, "")
		require.Equal(t, 404, status, path)
		require.Equal(t, missing, body, path)
	}
	status, body := s.do(t, http.MethodGet, "/scm/PRJ/repo.git/info/refs", "")
	require.Equal(t, 403, status)
	require.Contains(t, body, "dumb HTTP")
}

func TestVersionRequests(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	for request, first := range map[string]string{
		"": "# service=", "version=0": "# service=", "version=1": "# service=", "version=99": "# service=", "x=y:version=2": "000eversion 2",
		"version=2": "000eversion 2", strings.Repeat("x", 300) + ":version=2": "# service=", "version=2" + strings.Repeat(":x", 1<<10): "# service=",
	} {
		status, body := s.do(t, http.MethodGet, "/scm/PRJ/repo.git/info/refs?service=git-upload-pack", "", "Git-Protocol", request)
		require.Equal(t, 200, status)
		require.Contains(t, body[:min(len(body), 20)], first, request)
	}
	status, body := s.do(t, http.MethodGet, "/scm/PRJ/repo.git/info/refs?service=git-receive-pack", "", "Git-Protocol", "version=2")
	require.Equal(t, 200, status)
	require.Contains(t, body, "report-status", "pushes know no version 2")
}

func TestHeaders(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	response, err := http.Get(s.URL + "/scm/PRJ/repo.git/info/refs?service=git-upload-pack")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "application/x-git-upload-pack-advertisement", response.Header.Get("Content-Type"))
	require.Contains(t, response.Header.Get("Cache-Control"), "no-cache")
	response, err = http.Get(s.URL + "/scm/PRJ/repo.git/info/refs?service=git-receive-pack")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Equal(t, `Basic realm="Annal"`, response.Header.Get("WWW-Authenticate"))
	http.DefaultClient.CloseIdleConnections()
}

func TestBadRequestsAreAnswered(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 10))
	head := s.ref(t, "refs/heads/main")
	before := s.memory.Pushes()
	zero := strings.Repeat("0", 40)
	fetch := func(args ...string) string {
		body := pkt("command=fetch") + "0001"
		for _, a := range args {
			body += pkt(a)
		}
		return body + "0000"
	}
	for _, tt := range []struct{ path, version, body, want string }{
		{"upload", "2", "0003", "ERR protocol error: bad line length"},
		{"upload", "2", "0005", "ERR protocol error: the request is cut off"},
		{"upload", "2", "zzzz", "ERR protocol error: bad line length characters"},
		{"upload", "2", "00FF" + strings.Repeat("x", 251), "ERR protocol error"},
		{"upload", "2", "fff1" + strings.Repeat("x", 70000), "ERR protocol error"},
		{"upload", "2", pkt("command=nothing") + "0000", "ERR invalid command"},
		{"upload", "2", pkt("command=fetch") + pkt("command=fetch") + "0000", "ERR protocol error"},
		{"upload", "2", pkt("nonsense") + "0000", "ERR unknown capability"},
		{"upload", "2", pkt("object-format=sha256") + pkt("command=fetch") + "0000", "ERR mismatched object format"},
		{"upload", "2", fetch("want " + zero), "ERR upload-pack: not our ref " + zero},
		{"upload", "2", fetch("want " + strings.ToUpper(head)), "ERR protocol error"},
		{"upload", "2", fetch("want " + head + head[:24]), "ERR protocol error"},
		{"upload", "2", fetch("want "), "ERR protocol error"},
		{"upload", "2", fetch("want-ref refs/heads/none"), "ERR unknown ref"},
		{"upload", "2", fetch("want "+head, "filter sparse:oid=main"), "ERR filter"},
		{"upload", "2", fetch("want "+head, "deepen 0"), "ERR invalid deepen"},
		{"upload", "2", fetch("want "+head, "deepen 1", "deepen-since 5", "done"), "ERR deepen and deepen-since"},
		{"upload", "2", fetch("want "+head, "deepen-not refs/heads/none", "done"), "ERR deepen-not is not a ref"},
		{"upload", "2", fetch("want "+head, "deepen-since 9999999999", "done"), "ERR no commits selected"},
		{"upload", "2", fetch("nonsense"), "ERR unexpected line"},
		{"upload", "2", strings.Repeat("0009hello", 200), "ERR unknown capability"},
		{"upload", "0", pkt("want "+zero) + "0000" + pkt("done"), "ERR upload-pack: not our ref"},
		{"upload", "0", pkt("have "+zero) + "0000", "ERR protocol error: expected to get oid"},
		{"upload", "0", pkt("want "+head) + "0000" + pkt("nonsense"), "ERR protocol error: expected SHA1 list"},
		{"upload", "0", pkt("want "+head) + "0001", "ERR protocol error: unexpected packet"},
		{"upload", "0", pkt("want " + head), "ERR protocol error: the request is cut off"},
		{"receive", "0", pkt("nonsense") + "0000", "ERR protocol error: expected old/new/ref"},
		{"receive", "0", pkt(zero + " " + head + " refs/heads/x\x00report-status"), "unpack protocol error: the request is cut off"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/x\x00report-status object-format=sha256") + "0000", "unpack mismatched object format"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/x\x00report-status object-format=sha256") + "0000", "ng refs/heads/x unpacker error"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/\xff\x00report-status") + "0000", "ng refs/heads/\xff invalid ref name: is not UTF-8"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/x\nng refs/heads/y\x00report-status") + "0000", "control character"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/x\x00report-status side-band-64k") + "0000" + "PACK garbage", "unpack"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/x\x00report-status") + pkt(zero+" "+head+" refs/heads/x") + "0000", "ng refs/heads/x the push names this ref twice"},
		{"receive", "0", pkt(zero+" "+head+" refs/heads/main\x00report-status") + "0000", "ng refs/heads/main expected " + zero + " is at " + head},
		{"receive", "0", pkt(zero+" "+zero+" refs/heads/side\x00report-status") + "0000", "ng refs/heads/side expected " + zero},
		{"receive", "0", pkt(zero+" "+zero+" refs/heads/none\x00report-status") + "0000", "ok refs/heads/none"},
		{"receive", "0", pkt(head+" "+zero+" refs/heads/none\x00report-status side-band-64k") + "0000", "warning: deleting the non-existent ref refs/heads/none"},
	} {
		status, body := s.do(t, http.MethodPost, "/scm/PRJ/repo.git/git-"+tt.path+"-pack", tt.body,
			"Content-Type", "application/x-git-"+tt.path+"-pack-request", "Git-Protocol", "version="+tt.version)
		require.Equal(t, 200, status)
		require.Contains(t, body, tt.want, "%.100q", tt.body)
		require.NotContains(t, body, "internal error", "%.100q", tt.body)
	}
	require.Equal(t, before, s.memory.Pushes())
}

func TestTooManyCommands(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	head, zero := s.ref(t, "refs/heads/main"), strings.Repeat("0", 40)
	var body strings.Builder
	for i := range 10_001 {
		line := fmt.Sprintf("%s %s refs/heads/%d", zero, head, i)
		if i == 0 {
			line += "\x00report-status side-band-64k"
		}
		body.WriteString(pkt(line))
	}
	body.WriteString("0000")
	status, answer := s.do(t, http.MethodPost, "/scm/PRJ/repo.git/git-receive-pack", body.String(), "Content-Type", receiveRequest)
	require.Equal(t, 200, status)
	require.Contains(t, answer, "push of more than 10000 refs at once")
}

func TestGzip(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	zip := func(body string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := io.Copy(w, strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.String()
	}
	post := func(body, encoding string) (int, string) {
		return s.do(t, http.MethodPost, "/scm/PRJ/repo.git/git-upload-pack", body,
			"Content-Type", uploadRequest, "Content-Encoding", encoding, "Git-Protocol", "version=2")
	}
	list := pkt("command=ls-refs") + "0001" + pkt("peel") + "0000"
	for _, encoding := range []string{"gzip", "x-gzip"} {
		status, body := post(zip(list), encoding)
		require.Equal(t, 200, status)
		require.Contains(t, body, "refs/heads/main")
	}
	status, _ := post(list, "br")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	_, body := post(list, "gzip")
	require.Contains(t, body, "ERR the body of the request is not gzip")
	// A little that unpacks to far too much.
	_, body = post(zip(pkt("command=ls-refs")+"0001"+strings.Repeat(pkt("ref-prefix "+strings.Repeat("x", 60000)), 400)), "gzip")
	require.Contains(t, body, "ERR the request is larger than 16777216 bytes")
}

func TestExpectContinue(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	connection, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close()) }()
	list := pkt("command=ls-refs") + "0001" + "0000"
	_, err = fmt.Fprintf(connection, "POST /scm/PRJ/repo.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nGit-Protocol: version=2\r\nExpect: 100-continue\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", uploadRequest, len(list))
	require.NoError(t, err)
	head := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	_, err = io.ReadFull(connection, head)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n\r\n", string(head))
	_, err = io.WriteString(connection, list)
	require.NoError(t, err)
	rest, err := io.ReadAll(connection)
	require.NoError(t, err)
	require.Contains(t, string(rest), "refs/heads/main")
}

func TestObjectInfo(t *testing.T) {
	repository := gitfstest.NewRepository(t, 3)
	s := serve(t, repository)
	id := gitfstest.Git(t, repository, "rev-parse", "main:build.sh")
	post := func(id string) string {
		_, body := s.do(t, http.MethodPost, "/scm/PRJ/repo.git/git-upload-pack",
			pkt("command=object-info")+"0001"+pkt("size")+pkt("oid "+id)+"0000", "Content-Type", uploadRequest, "Git-Protocol", "version=2")
		return body
	}
	require.Equal(t, pkt("size\n")+pkt(id+" 17\n")+"0000", post(id))
	require.Contains(t, post(strings.Repeat("1", 40)), "not our ref")
}
