package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

const jsonType = "application/json; charset=utf-8"

// representation is an encoded answer, compressed once for all clients.
type representation struct {
	contentType string
	// tag changes with the content. It is the ETag of the plain body; that of
	// the compressed one differs, because the bytes do.
	tag string
	// body is in gzip if zipped.
	body   []byte
	zipped bool
}

// newRepresentation makes one of a plain body.
func newRepresentation(contentType, tag string, body []byte) *representation {
	r := &representation{contentType: contentType, tag: tag, body: body}
	if compressed, ok := compress(body); ok {
		r.body, r.zipped = compressed, true
	}
	return r
}

// tagOf makes a tag of the content itself.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

// write answers with the representation in the coding that the client
// prefers, or tells it that what it has still holds.
func (r *representation) write(c *gin.Context) error {
	etag, zip := `"`+r.tag+`"`, r.zipped && acceptsGzip(c.Request.Header.Values("Accept-Encoding"))
	if zip {
		etag = `"` + r.tag + `-gzip"`
	}
	if matchesETag(c.Request.Header.Values("If-None-Match"), etag) {
		c.Header("ETag", etag)
		c.Status(http.StatusNotModified)
		return nil
	}
	body := r.body
	if r.zipped && !zip {
		var err error
		if body, err = decompress(r.body); err != nil {
			return err
		}
	}
	c.Header("ETag", etag)
	if zip {
		c.Header("Content-Encoding", "gzip")
	}
	c.Data(http.StatusOK, r.contentType, body)
	return nil
}

// matchesETag compares weakly, as If-None-Match asks for (RFC 9110, section
// 13.1.2). The tag itself must hold no comma.
func matchesETag(headers []string, etag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// keptJSON stands on a line of its own before the body of a kept answer.
type keptJSON struct {
	Tag    string `json:"tag"`
	Zipped bool   `json:"zipped,omitempty"`
	// Next is the cursor of the page that follows.
	Next string `json:"next,omitempty"`
}

// encodeKept encodes an answer as it is kept.
func encodeKept(answer any, next string) ([]byte, error) {
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	r := newRepresentation(jsonType, tagOf(body), body)
	head, err := json.Marshal(keptJSON{Tag: r.tag, Zipped: r.zipped, Next: next})
	if err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return bytes.Join([][]byte{head, r.body}, []byte("\n")), nil
}

// decodeKept reads what encodeKept wrote.
func decodeKept(kept []byte) (r *representation, next string, err error) {
	head, body, found := bytes.Cut(kept, []byte("\n"))
	if !found {
		return nil, "", errors.New("a kept answer has no head")
	}
	var k keptJSON
	if err := json.Unmarshal(head, &k); err != nil {
		return nil, "", fmt.Errorf("decode a kept answer: %w", err)
	}
	return &representation{contentType: jsonType, tag: k.Tag, body: body, zipped: k.Zipped}, k.Next, nil
}

// setFreshness writes for how long caches may serve the answer without
// asking. It is what remains of its freshness here, so a fresh answer has no
// Age, which caches would subtract once more. A stale answer has its Age and a
// Cache-Status (RFC 9211), whose ttl is negative.
func setFreshness(h http.Header, a app.Answer) {
	left := int64(a.Fresh / time.Second)
	if left > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(left, 10))
		return
	}
	h.Set("Cache-Control", "no-cache")
	if !a.Stale {
		return
	}
	h.Set("Age", strconv.FormatInt(int64(a.Age/time.Second), 10))
	status := "analytics; hit; ttl=" + strconv.FormatInt(left, 10)
	if a.Failing {
		status += "; detail=revalidation-failed"
	}
	h.Set("Cache-Status", status)
}
