package app

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// PanicError makes an error of what a deferred function recovered. It tells
// where the panic came from and, because its value may hold
// a client's data, of that only the type; of the runtime's own panics, whose
// numbers may be a client's, the words.
func PanicError(cause any) error {
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
