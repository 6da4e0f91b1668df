package httpapi

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// limiting keeps clients within their limits.
type limiting struct {
	limit     *app.Limit
	addresses addresses
}

// unlimited are the routes that machines ask without end.
var unlimited = []string{livePath, healthPath}

// bringEvents are the routes to which batches are posted.
var bringEvents = []string{eventsPath, explainPath}

// middleware has every request judged once: here or, when it brings events,
// as soon as these are counted. A client that is known to be barred is refused
// before anything of its request is worked on.
func (l *limiting) middleware(c *gin.Context) {
	if slices.Contains(unlimited, c.FullPath()) {
		return
	}
	a := &admission{limit: l.limit, header: c.Writer.Header(), client: l.addresses.client(c.Request)}
	err := a.refuseBarred()
	if err == nil {
		if c.Request.Method == http.MethodPost && slices.Contains(bringEvents, c.FullPath()) {
			c.Set(admissionKey{}, a)
			return
		}
		err = a.admit(c.Request.Context(), 0)
	}
	if err != nil {
		recordOf(c).quiet = true // there may be very many
		refuse(c, err)
		c.Abort()
	}
}

type admissionKey struct{}

// admissionOf returns nil, on which all methods are fine, when nothing is
// limited.
func admissionOf(c *gin.Context) *admission {
	value, _ := c.Get(admissionKey{})
	a, _ := value.(*admission)
	return a
}

// admission is the judgement on one request.
type admission struct {
	limit  *app.Limit
	header http.Header
	client string
	judged bool
}

// refuseBarred returns an error for a client that has to wait.
func (a *admission) refuseBarred() error {
	if allowance, barred := a.limit.Barred(a.client); barred {
		return a.tell(allowance)
	}
	return nil
}

// admit judges the request with that many events.
func (a *admission) admit(ctx context.Context, events int) error {
	if a == nil {
		return nil
	}
	a.judged = true
	return a.tell(a.limit.Take(ctx, a.client, events))
}

// settle judges a request that failed with err before its events were counted,
// also when the client is gone: nothing is for free. Nil stays nil.
func (a *admission) settle(ctx context.Context, err error) error {
	if a == nil || a.judged || err == nil {
		return err
	}
	if refused := a.admit(context.WithoutCancel(ctx), 0); refused != nil {
		return refused
	}
	return err
}

var (
	headerLimit     = http.CanonicalHeaderKey("X-RateLimit-Limit")
	headerRemaining = http.CanonicalHeaderKey("X-RateLimit-Remaining")
	headerReset     = http.CanonicalHeaderKey("X-RateLimit-Reset")
)

// tell sets the headers of the answer. For a refused request it returns the
// error.
func (a *admission) tell(allowance ports.Allowance) error {
	a.header[headerLimit] = []string{strconv.Itoa(a.limit.PerMinute())}
	a.header[headerRemaining] = []string{strconv.Itoa(allowance.Remaining)}
	a.header[headerReset] = []string{strconv.Itoa(wholeSeconds(allowance.Reset))}
	if allowance.Granted {
		return nil
	}
	message := "there are too many events from your address: wait, or send fewer"
	if allowance.Barred {
		message = "there are too many requests from your address: wait"
	}
	return domain.NewError(codeRateLimited, waitError(allowance.Wait), message)
}

// waitError is the cause of a refusal that tells how long to wait.
type waitError time.Duration

// Error says how long.
func (e waitError) Error() string { return "wait " + time.Duration(e).String() }

// wholeSeconds rounds up, so that who waits has waited long enough.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
