package httpapi

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
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
		refuse(c, app.PanicError(cause))
	}()
	c.Next()
	return false
}
