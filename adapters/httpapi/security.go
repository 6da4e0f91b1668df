package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// setHeaders sets what every answer has, until a handler knows better. Nothing
// here is a page: whoever makes a browser show an answer gets text that loads
// nothing, runs nothing, asks for nothing, and stands in nobody's frame.
func setHeaders(h http.Header, id string) {
	h.Set(requestIDHeader, id)
	for _, fixed := range fixedHeaders {
		fixed.set(h)
	}
}

// fixedHeader is a header that is the same in many answers. Its values are shared:
// they may be replaced, and never changed.
type fixedHeader struct {
	name   string
	values []string
}

func newFixedHeader(name, value string) fixedHeader {
	return fixedHeader{http.CanonicalHeaderKey(name), []string{value}}
}

func (f fixedHeader) set(h http.Header) { h[f.name] = f.values }

var fixedHeaders = []fixedHeader{
	newFixedHeader("Cache-Control", "no-store"),
	newFixedHeader("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
	newFixedHeader("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
	newFixedHeader("Referrer-Policy", "no-referrer"),
	newFixedHeader("X-Content-Type-Options", "nosniff"),
	// For browsers that do not know frame-ancestors.
	newFixedHeader("X-Frame-Options", "DENY"),
}

// secure sets what depends on the request.
func secure(h http.Header, r *http.Request) {
	// This server speaks no TLS. A proxy that does says so, and anybody else
	// who does gets a header that browsers heed over TLS only.
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	// The length that a client sent beside a chunked body is gone by now, and
	// HTTP/1.0 knows no chunks: a proxy may have seen another end of the
	// request than this server. Nothing behind it is taken for a request.
	if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
		h.Set("Connection", "close")
	}
}

// maxAddress is the longest path with query, in bytes; what clients ask for is
// a tenth of it.
const maxAddress = 12 << 10

// checkAddress refuses what is too long to be read with care.
func checkAddress(c *gin.Context) {
	if len(c.Request.RequestURI) > maxAddress {
		err := domain.NewError(codeAddressTooLong, nil, "the path and its query are too long")
		recordOf(c).quiet = true // some paths are asked for without limit
		refuse(c, admissionOf(c).settle(c.Request.Context(), err))
		c.Abort()
	}
}
