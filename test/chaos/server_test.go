package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/program"
)

// server is the real program on one folder of files. It is started, killed
// and started again.
type server struct {
	dir    string
	random *rand.Rand
	// address is where the running server listens.
	address string
	process *program.Process
}

// launch starts the program and does not wait for it to be ready. Each run
// draws how many events a transaction holds: small ones spend more of their
// time between commit and acknowledgement, large ones inside the transaction.
func (s *server) launch(t *testing.T) {
	t.Helper()
	s.process = program.Launch(t, "serve", s.dir, "DATA_DIR="+s.dir, "MAX_QUEUE_SIZE=1000", "MAX_VERSIONS_PER_DAY=1000000", mergeSoon,
		fmt.Sprintf("WORKER_BATCH_SIZE=%d", oneOf(s.random, []int{1, 10, 5000})))
}

// start starts the program and waits until it serves.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.launch(t)
	s.address = s.process.Await(t)
}

// restart starts the program again once it is dead; now and then another kill
// strikes while it is starting.
func (s *server) restart(t *testing.T) {
	t.Helper()
	<-s.process.Exited
	if s.random.IntN(3) == 0 {
		s.launch(t)
		s.killSoon()
		<-s.process.Exited
	}
	s.start(t)
}

// killSoon kills the process after some milliseconds. The channel is closed as
// the blow falls.
func (s *server) killSoon() <-chan struct{} {
	p, struck := s.process, make(chan struct{})
	time.AfterFunc(time.Duration(s.random.Int64N(int64(50*time.Millisecond))), func() {
		close(struck)
		p.Kill()
	})
	return struck
}
