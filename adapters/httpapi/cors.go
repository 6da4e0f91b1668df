package httpapi

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// AnyOrigin stands for all origins.
const AnyOrigin = "*"

// Origins are the web pages, by origin, whose scripts may read the answers and
// post. The zero value lets none but the server's own.
type Origins struct{ allowed []string }

// ParseOrigins reads a list of origins separated by commas, such as
// https://example.org or http://localhost:3000, or [AnyOrigin] alone. Its
// errors say what is wrong with which one.
func ParseOrigins(list string) (Origins, error) {
	var origins Origins
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if text == AnyOrigin && strings.TrimSpace(list) != AnyOrigin {
			return Origins{}, errors.New("* stands for all origins: give it alone or leave it out")
		}
		origin, ok := parseOrigin(text)
		if !ok && text != AnyOrigin {
			return Origins{}, errors.New("give origins as scheme://host or scheme://host:port, without a path, separated by commas; or * for all")
		}
		origins.allowed = append(origins.allowed, cmp.Or(origin, text))
	}
	return origins, nil
}

// parseOrigin returns the origin as browsers write it: in lower case and
// without the scheme's own port.
func parseOrigin(text string) (string, bool) {
	text = strings.ToLower(text)
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != text || strings.HasSuffix(u.Host, ":") ||
		strings.ContainsFunc(u.Host, isOddInHost) {
		return "", false
	}
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(text, ":443"), true
	case "http":
		return strings.TrimSuffix(text, ":80"), true
	default:
		return "", false
	}
}

// isOddInHost finds wildcards, which would match nothing, and letters that
// browsers write in punycode.
func isOddInHost(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._:[]", r)
}

// answerFor returns what allows the origin, empty when nothing does. Browsers
// say null for pages without an origin of their own, which could be anyone's.
func (o Origins) answerFor(origin string) string {
	switch {
	case slices.Contains(o.allowed, AnyOrigin):
		return AnyOrigin
	case slices.Contains(o.allowed, origin):
		return origin
	default:
		return ""
	}
}

// check refuses what a page of another origin has its visitor's browser send:
// not all of that is asked for before. Clients that are no browsers name neither
// an origin nor a site, and are let through.
//
// That the page and this server have one host says little: whoever owns a name
// can let it mean this server's address once the page is loaded (DNS rebinding).
// So the server's own pages are those at its address or on localhost, which need
// no look-up that somebody else answers. One with a name is listed like any other.
func (o Origins) check(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if o.answerFor(origin) != "" {
		return nil
	}
	var own http.CrossOriginProtection
	if err := own.Check(r); err != nil {
		return foreignPage(err)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case origin != "" && !isFixedHost(hostOfOrigin(origin)),
		origin == "" && site == "same-origin" && !isFixedHost(r.Host) && !o.lists(r.Host):
		return foreignPage(errNamedHost)
	}
	return nil
}

func foreignPage(cause error) error {
	return domain.NewError(codeForbidden, cause, "pages of this origin may not post here: the operator of this server has not listed it in CORS_ORIGIN")
}

var errNamedHost = errors.New("the host is a name that is not listed")

// lists reports whether an origin at the host is listed.
func (o Origins) lists(host string) bool {
	return slices.ContainsFunc(o.allowed, func(origin string) bool { return hostOfOrigin(origin) == strings.ToLower(host) })
}

func hostOfOrigin(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	return host
}

// isFixedHost reports whether no look-up decides where the host, which may have
// a port, is: an IP address, or localhost.
func isFixedHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// What a page may send and see beyond what every page may, and how long it may
// remember that. Chromium remembers for two hours at most.
const (
	corsRequestHeaders = "Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, Prefer, X-Request-Id"
	corsAnswerHeaders  = "Age, Allow, Cache-Status, ETag, Link, Preference-Applied, Retry-After, X-RateLimit-Limit, " +
		"X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
	corsMethods = "GET, HEAD, POST"
	corsMaxAge  = "7200"
)

var (
	varies  = newFixedHeader("Vary", "Accept-Encoding, Origin")
	exposed = newFixedHeader("Access-Control-Expose-Headers", corsAnswerHeaders)
)

// cors lets the scripts of allowed pages read every answer, and answers the
// question by which a browser asks before it sends what is out of the
// ordinary.
func (s *Server) cors(c *gin.Context) {
	h := c.Writer.Header()
	varies.set(h)
	if allowed := s.config.Origins.answerFor(c.GetHeader("Origin")); allowed != "" {
		h.Set("Access-Control-Allow-Origin", allowed)
		exposed.set(h)
	}
	if !isPreflight(c.Request) {
		return
	}
	recordOf(c).quiet = true
	if h.Get("Access-Control-Allow-Origin") != "" {
		// The engine knows the methods of known paths. That others are not
		// there the request itself shall tell.
		h.Set("Access-Control-Allow-Methods", cmp.Or(h.Get("Allow"), corsMethods))
		h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	c.AbortWithStatus(http.StatusNoContent)
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}
