package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

const jsonType = "application/json; charset=utf-8"

// representation is an answer in the codings in which it is sent.
type representation struct {
	*app.Content

	contentType string
}

func newRepresentation(contentType string, content app.Content) *representation {
	return &representation{contentType: contentType, Content: &content}
}

// write answers with the representation in the coding that the client
// prefers, or says that what it has still holds. The ETag of the compressed
// body is another, because the bytes differ.
func (r *representation) write(c *gin.Context) error {
	etag, zip := `"`+r.Tag+`"`, r.Gzip != nil && acceptsGzip(c.Request.Header.Values("Accept-Encoding"))
	if zip {
		etag = `"` + r.Tag + `-gzip"`
	}
	if matchesETag(c.Request.Header.Values("If-None-Match"), etag) {
		c.Header("ETag", etag)
		c.Status(http.StatusNotModified)
		return nil
	}
	body := r.Gzip
	if !zip {
		var err error
		if body, err = r.Expand(); err != nil {
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

// encodeContent encodes an answer as it is kept.
func encodeContent(answer any, next string) (app.Content, error) {
	body, err := json.Marshal(answer)
	if err != nil {
		return app.Content{}, fmt.Errorf("encode an answer: %w", err)
	}
	return app.NewContent(body, next), nil
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
