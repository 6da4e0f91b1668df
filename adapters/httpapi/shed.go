package httpapi

import (
	"cmp"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// Load tells how much is asked of a server and what it has refused since its
// start because it was too much.
type Load struct {
	Connections ConnectionCounts
	// RefusedBodies and RefusedComputations are requests.
	RefusedBodies, RefusedComputations int64
	// DroppedLines are those of the log.
	DroppedLines int64
}

// Load tells how it is now.
func (s *Server) Load() Load {
	load := Load{RefusedBodies: s.bodies.Refused()}
	if s.answers != nil {
		load.RefusedComputations = s.answers.Refused()
	}
	if s.config.DroppedLines != nil {
		load.DroppedLines = s.config.DroppedLines()
	}
	if s.config.Connections != nil {
		load.Connections = s.config.Connections.Counts()
	}
	return load
}

// What is refused of a batch is lost, as clients send only once, so it may wait
// nearly as long as they do.
const (
	defaultBodies       = 64
	defaultBodiesLine   = 1024
	defaultBodyPatience = 3 * time.Second
)

func newBodyGate(config Config) *app.Gate {
	bodies := config.Bodies
	bodies.Places = cmp.Or(bodies.Places, defaultBodies)
	bodies.Line = cmp.Or(bodies.Line, defaultBodiesLine)
	bodies.Patience = cmp.Or(bodies.Patience, defaultBodyPatience)
	return app.NewGate(bodies)
}
