package pktline_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/pktline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReaderRefusesBadLengths(t *testing.T) {
	for _, head := range []string{"0003", "fff1", "ffff", "zzzz", "000G", "00FF", "+004", " 004", "0x04", "-001"} {
		_, err := pktline.NewReader(strings.NewReader(head + strings.Repeat("x", 70000))).Next()
		var format *pktline.FormatError
		require.ErrorAs(t, err, &format, head)
	}
}

func TestReaderEndsCleanlyOnlyBetweenPackets(t *testing.T) {
	whole := "0009hello0000"
	for cut := range len(whole) + 1 {
		r := pktline.NewReader(iotest.OneByteReader(strings.NewReader(whole[:cut])))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if cut == 0 || cut == 9 || cut == len(whole) {
			require.Equal(t, io.EOF, err, "cut at %d", cut)
		} else {
			require.Equal(t, io.ErrUnexpectedEOF, err, "cut at %d", cut)
		}
	}
}

func TestReaderKeepsWhatFollows(t *testing.T) {
	r := pktline.NewReader(strings.NewReader("0006a\n00010002" + "0004" + "0000PACK..."))
	for _, want := range []struct {
		kind pktline.Kind
		text string
	}{{pktline.Data, "a"}, {pktline.Delim, ""}, {pktline.ResponseEnd, ""}, {pktline.Data, ""}, {pktline.Flush, ""}} {
		p, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, want.kind, p.Kind)
		require.Equal(t, want.text, p.Text())
	}
	rest, err := io.ReadAll(r.Rest())
	require.NoError(t, err)
	require.Equal(t, "PACK...", string(rest))
}

func TestWrittenPacketsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var buf bytes.Buffer
		w := pktline.NewWriter(&buf)
		payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 8).Draw(t, "payloads")
		for i, p := range payloads {
			if i%2 == 0 {
				_, err := w.Write(p)
				require.NoError(t, err)
			} else {
				require.NoError(t, w.Printf("%s", p))
			}
		}
		require.NoError(t, w.Delim())
		require.NoError(t, w.Flush())
		r := pktline.NewReader(&buf)
		for _, p := range payloads {
			got, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, pktline.Data, got.Kind)
			require.True(t, bytes.Equal(p, got.Payload))
		}
		for _, kind := range []pktline.Kind{pktline.Delim, pktline.Flush} {
			got, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, kind, got.Kind)
		}
	})
}

func TestWriterRefusesTooMuch(t *testing.T) {
	w := pktline.NewWriter(io.Discard)
	_, err := w.Write(make([]byte, pktline.MaxPayload))
	require.NoError(t, err)
	_, err = w.Write(make([]byte, pktline.MaxPayload+1))
	require.Error(t, err)
	require.Error(t, w.Printf("%s", make([]byte, pktline.MaxPayload+1)))
	require.NoError(t, w.Error(strings.Repeat("x", 1<<20)))
}

func TestWriterKeepsItsFirstError(t *testing.T) {
	broken := errors.New("broken")
	w := pktline.NewWriter(iotestErrWriter{broken})
	require.ErrorIs(t, w.Flush(), broken)
	require.ErrorIs(t, w.Printf("x"), broken)
}

type iotestErrWriter struct{ err error }

func (w iotestErrWriter) Write([]byte) (int, error) { return 0, w.err }

func TestSidebandKeepsBandsApart(t *testing.T) {
	for _, limit := range []int{pktline.SidebandSmall, pktline.SidebandLarge} {
		var buf bytes.Buffer
		s := pktline.NewSideband(&buf, limit)
		data := bytes.Repeat([]byte("0123456789"), 20000)
		for chunk := range bytes.SplitAfterSeq(data, []byte("9012345")) {
			_, err := s.Write(chunk)
			require.NoError(t, err)
		}
		require.NoError(t, s.Progress(strings.Repeat("p", 1500)))
		require.NoError(t, s.Fatal("no"))
		require.NoError(t, s.Flush())

		bands := map[byte][]byte{}
		r := pktline.NewReader(&buf)
		for {
			p, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.LessOrEqual(t, len(p.Payload), limit+1)
			bands[p.Payload[0]] = append(bands[p.Payload[0]], p.Payload[1:]...)
		}
		require.True(t, bytes.Equal(data, bands[1]))
		require.Equal(t, strings.Repeat("p", 1500), string(bands[2]))
		require.Equal(t, "no\n", string(bands[3]))
	}
}

func TestKeepAliveOnlyInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w syncBuffer
		s := pktline.NewSideband(&w, pktline.SidebandLarge)
		stop := s.KeepAlive(5 * time.Second)
		defer stop()
		<-time.After(11 * time.Second)
		synctest.Wait()
		require.Equal(t, "0005\x020005\x02", w.String())
		require.NoError(t, s.Progress("x"))
		<-time.After(5 * time.Second)
		synctest.Wait()
		require.Equal(t, "0005\x020005\x020006\x02x", w.String())
		stop()
		<-time.After(time.Minute)
		require.Equal(t, "0005\x020005\x020006\x02x", w.String())
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{"0000", "0004", "0009hello0000", "0003", "fff0", "fff1", "zzzz", "000", "00010002"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := pktline.NewReader(bytes.NewReader(input))
		var again bytes.Buffer
		w := pktline.NewWriter(&again)
		for {
			p, err := r.Next()
			if err != nil {
				break
			}
			switch p.Kind {
			case pktline.Data:
				_, err = w.Write(p.Payload)
			case pktline.Flush:
				err = w.Flush()
			case pktline.Delim:
				err = w.Delim()
			case pktline.ResponseEnd:
				_, err = again.WriteString("0002")
			}
			require.NoError(t, err)
		}
		require.True(t, bytes.HasPrefix(input, again.Bytes()), "what was read is what was sent")
	})
}
