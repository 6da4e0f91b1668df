package postgres

import (
	"errors"

	"github.com/lib/pq"
)

// IsAway reports whether err, of [Open] or [Connect], says that the server
// cannot be reached or used just now, so that waiting for it may help. Wrong
// credentials, a missing database and the like it takes for mistakes.
func IsAway(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		switch stateOf(e).Class() {
		case "08", "53", "57": // unreachable, too many connections, stopping or starting
			return true
		default:
			return false
		}
	}
	return isDisconnection(err) && !isUntrusted(err)
}
