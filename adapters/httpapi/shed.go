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
	load := Load{RefusedBodies: s.bodies.Refused() + s.explains.Refused()}
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

// An explanation takes many times the work that accepting the batch takes, and
// nothing is lost when it is refused. So there is one at a time, and the other
// processors are left to those who post and read.
const (
	defaultExplains        = 1
	defaultExplainsLine    = 16
	defaultExplainPatience = time.Second
)

func newExplainGate(config Config) *app.Gate {
	explains := config.Explains
	explains.Places = cmp.Or(explains.Places, defaultExplains)
	explains.Line = cmp.Or(explains.Line, defaultExplainsLine)
	explains.Patience = cmp.Or(explains.Patience, defaultExplainPatience)
	if explains.Pressed == nil {
		explains.Pressed = config.Bodies.Pressed
	}
	return app.NewGate(explains)
}
