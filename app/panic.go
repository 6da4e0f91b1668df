package app

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// PanicError makes an error of what a deferred function recovered. It tells
// where the panic came from and, because its value may hold a client's data,
// of that only the type; the runtime's own panics hold none.
func PanicError(cause any) error {
	what := fmt.Sprintf("%T", cause)
	if err, ok := cause.(runtime.Error); ok {
		what = err.Error()
	}
	return domain.NewError(domain.CodeInternal, fmt.Errorf("%s at %s", what, panicOrigin()), "panic")
}

// panicOrigin is the function that panicked, with its line.
func panicOrigin() string {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	panicking := false
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		switch {
		case frame.Function == "runtime.gopanic":
			panicking = true
		case panicking && !isRuntime(frame.Function):
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
	}
	return "an unknown place"
}

func isRuntime(function string) bool { return strings.HasPrefix(function, "runtime.") }
