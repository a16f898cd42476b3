package smarthttp_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/pktline"
)

// What git archive --remote of Git 2.44 and newer sends over HTTP is answered as native
// upload-archive answers it.
func TestUploadArchive(t *testing.T) {
	repository := gitfstest.NewRepository(t, 12)
	s := serve(t, repository)
	var body bytes.Buffer
	lines := pktline.NewWriter(&body)
	_ = lines.Printf("argument --format=tar\n")
	_ = lines.Printf("argument main\n")
	_ = lines.Flush()
	post := func(contentType string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/scm/prj/repo.git/git-upload-archive", bytes.NewReader(body.Bytes()))
		require.NoError(t, err)
		request.Header.Set("Content-Type", contentType)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	response := post("application/x-git-upload-archive-request")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "application/x-git-upload-archive-result", response.Header.Get("Content-Type"))
	in := pktline.NewReader(response.Body)
	p, err := in.Next()
	require.NoError(t, err)
	require.Equal(t, "ACK", p.Text())
	var data strings.Builder
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if len(p.Payload) > 0 {
			require.EqualValues(t, 1, p.Payload[0])
			data.Write(p.Payload[1:])
		}
	}
	want, err := gitfstest.TryGit(t, repository, nil, "archive", "--format=tar", "main")
	require.NoError(t, err)
	require.True(t, want == data.String())
	require.Equal(t, http.StatusBadRequest, post("text/plain").StatusCode)
}
