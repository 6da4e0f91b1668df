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
}

// Load tells how it is now.
func (s *Server) Load() Load { return s.gates.load() }

// gates bound what goes on at once.
type gates struct {
	bodies, computations *app.Gate
	connections          *Connections
}

// What is refused of a batch is lost, as clients send only once, so it may wait
// nearly as long as they do. Who reads statistics asks again.
const (
	defaultBodies        = 64
	defaultBodiesLine    = 1024
	defaultBodyPatience  = 3 * time.Second
	defaultComputations  = 4
	defaultReaders       = 128
	defaultReadsPatience = 2 * time.Second
)

func newGates(config Config) *gates {
	bodies, computations := config.Bodies, config.Computations
	bodies.Places = cmp.Or(bodies.Places, defaultBodies)
	bodies.Line = cmp.Or(bodies.Line, defaultBodiesLine)
	bodies.Patience = cmp.Or(bodies.Patience, defaultBodyPatience)
	computations.Places = cmp.Or(computations.Places, defaultComputations)
	computations.Line = cmp.Or(computations.Line, defaultReaders)
	computations.Patience = cmp.Or(computations.Patience, defaultReadsPatience)
	return &gates{
		bodies:       app.NewGate(bodies),
		computations: app.NewGate(computations),
		connections:  config.Connections,
	}
}

func (g *gates) load() Load {
	load := Load{RefusedBodies: g.bodies.Refused(), RefusedComputations: g.computations.Refused()}
	if g.connections != nil {
		load.Connections = g.connections.Counts()
	}
	return load
}
