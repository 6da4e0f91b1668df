package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// bodies reads request bodies, at most limit bytes of each, and has bounded
// numbers of them used at once. A body that arrives slowly takes no place of
// those: it is used when it is complete.
type bodies struct {
	limit   int64
	gate    *app.Gate
	buffers sync.Pool
	gzips   sync.Pool
}

func newBodies(limit int64, gate *app.Gate) *bodies {
	return &bodies{
		limit:   limit,
		gate:    gate,
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
		gzips:   sync.Pool{New: func() any { return new(gzip.Reader) }},
	}
}

// with calls use with the JSON text that c's request carries. The text is
// valid during the call only.
func (b *bodies) with(c *gin.Context, use func(body []byte) error) error {
	if err := checkMediaType(c.Request.Header.Values("Content-Type")); err != nil {
		return err
	}
	compressed, err := isGzip(c.Request.Header.Values("Content-Encoding"))
	if err != nil {
		c.Header("Accept-Encoding", "gzip")
		return err
	}
	if c.Request.ContentLength > b.limit {
		return b.tooLarge(nil)
	}
	if err := b.gate.Check(); err != nil {
		return err
	}
	buffer, _ := b.buffers.Get().(*bytes.Buffer)
	defer func() {
		buffer.Reset()
		b.buffers.Put(buffer)
	}()
	ctx := c.Request.Context()
	room := &roomReader{from: http.MaxBytesReader(c.Writer, c.Request.Body, b.limit), connection: connectionOf(ctx)}
	if err := b.read(buffer, room, compressed); err != nil {
		return err
	}
	return b.gate.Do(ctx, func() error { return use(buffer.Bytes()) })
}

// roomReader reads as long as there is room for what it has read.
type roomReader struct {
	from       io.Reader
	connection *connection
}

// Read fails with errNoRoom when there is none.
func (r *roomReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if !r.connection.hold(bufferFactor * int64(n)) {
		return 0, errNoRoom
	}
	return n, err
}

func (b *bodies) read(buffer *bytes.Buffer, room *roomReader, compressed bool) error {
	var from io.Reader = room
	if compressed {
		if !room.connection.hold(gunzipBytes + bufferFactor*b.limit) {
			return b.readError(errNoRoom)
		}
		unzip, _ := b.gzips.Get().(*gzip.Reader)
		defer b.gzips.Put(unzip)
		if err := unzip.Reset(from); err != nil {
			return b.readError(err)
		}
		from = unzip
	}
	// One byte more than allowed tells a body at the limit from a longer one.
	if _, err := buffer.ReadFrom(io.LimitReader(from, b.limit+1)); err != nil {
		return b.readError(err)
	}
	if int64(buffer.Len()) > b.limit {
		return b.tooLarge(nil)
	}
	return nil
}

// readError is the client's doing, but for the want of room.
func (b *bodies) readError(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return b.tooLarge(tooLarge)
	}
	if errors.Is(err, errNoRoom) {
		return domain.NewError(domain.CodeUnavailable, err, busySentence)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return domain.NewError(codeRequestTimeout, err, "the body did not arrive in time")
	}
	return domain.NewError(domain.CodeInvalid, err, "the body ended early or is not what Content-Encoding says")
}

func (b *bodies) tooLarge(cause error) error {
	return domain.NewError(codePayloadTooLarge, cause,
		fmt.Sprintf("the body may have at most %d bytes, after decompression too: send the events in parts", b.limit))
}

// checkMediaType wants JSON in UTF-8. A request that does not name its type is
// taken at its body's word.
func checkMediaType(values []string) error {
	given := strings.Join(values, ",")
	if given == "" {
		return nil
	}
	mediaType, parameters, err := mime.ParseMediaType(given)
	isJSON := mediaType == "application/json" ||
		strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json")
	charset, named := parameters["charset"]
	if err != nil || !isJSON || named && !strings.EqualFold(charset, "utf-8") {
		return domain.NewError(codeUnsupportedMedia, err, "send JSON as Content-Type: application/json, in UTF-8")
	}
	return nil
}

// isGzip reports whether the body is compressed; x-gzip is gzip's old name.
func isGzip(values []string) (bool, error) {
	switch strings.ToLower(strings.Join(values, ",")) {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		return true, nil
	default:
		return false, domain.NewError(codeUnsupportedMedia, nil, "the only Content-Encoding that is understood is gzip")
	}
}

// How long, and how much, a client may go on sending after its answer.
const (
	drainTime  = 3 * time.Second
	drainBytes = 16 << 20
)

// drain sends the answer and drops what the client still sends of the body.
// Closing the connection on unread data would reset it, and a client that
// writes before it reads would miss the answer.
func drain(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		return // the client waits for leave to send, which reading would give
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return // nobody is at the other end of a connection
	}
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
}
