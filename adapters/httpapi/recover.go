package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// protect runs the handlers and answers a panic. It reports whether the answer
// had already begun, so that only breaking it off keeps it from looking whole.
func protect(c *gin.Context) (abort bool) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		abort = c.Writer.Written()
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			abort = true
		}
		c.Abort()
		refuse(c, panicError(cause))
	}()
	c.Next()
	return false
}

// panicError tells where the panic came from and, because its value may hold
// a client's data, of that only the type; of the runtime's own panics, whose
// numbers may be a client's, the words.
func panicError(cause any) error {
	what := fmt.Sprintf("%T", cause)
	if err, ok := cause.(runtime.Error); ok {
		what = number.ReplaceAllString(err.Error(), "n")
	}
	return domain.NewError(domain.CodeInternal, fmt.Errorf("%s at %s", what, panicStack()), "panic")
}

// number is one that stands alone, as none in the name of a type does.
var number = regexp.MustCompile(`-?\b[0-9]+\b`)

// panicFrames is how many functions of a stack are worth a log line.
const panicFrames = 12

// panicStack lists the function that panicked, with its line, and its callers.
// Arguments are no part of it.
func panicStack() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	var stack []string
	panicking := false
	for more := true; more && len(stack) < panicFrames; {
		var frame runtime.Frame
		frame, more = frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			panicking = true
		case panicking && !isRuntime(frame.Function):
			stack = append(stack, fmt.Sprintf("%s:%d", frame.Function, frame.Line))
		}
	}
	return strings.Join(stack, " < ")
}

func isRuntime(function string) bool { return strings.HasPrefix(function, "runtime.") }
