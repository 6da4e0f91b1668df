package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lib/pq"
)

// outage is the time, if any, since which the server cannot be reached.
type outage struct {
	mu     sync.Mutex
	begun  time.Time // zero when there is none
	ended  bool      // no other begins
	stop   context.CancelFunc
	probes sync.WaitGroup
}

// The pause between two attempts to reach the server, and how long one may take.
const (
	probePause   = 500 * time.Millisecond
	probeTimeout = 5 * time.Second
)

// errSilent is a server that does not even answer a cancellation.
var errSilent = errors.New("the server does not answer")

// isOutage reports whether err says that other calls would fail as well.
func isOutage(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		state := stateOf(e)
		return state.Class() == "08" || state.Class() == "57" && state[2:3] == "P"
	}
	return errors.Is(err, errSilent) || isDisconnection(err)
}

// learn takes the outcome of a call. It logs once that the server is away, and
// once that it is back: calls then succeed again, or a probe does where there
// are no calls.
func (db *DB) learn(ctx context.Context, err error) {
	o := &db.outage
	switch {
	case err == nil:
		db.regain()
	case isOutage(err):
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.ended || !o.begun.IsZero() {
			return
		}
		o.begun = time.Now()
		db.config.Log.Warn("PostgreSQL is away", "error", err)
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		o.stop = stop
		o.probes.Go(func() { db.probe(ctx) })
	}
}

// regain ends the outage, if there is one.
func (db *DB) regain() {
	o := &db.outage
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.begun.IsZero() || o.ended {
		return
	}
	db.config.Log.Info("PostgreSQL is back", "outage_ms", time.Since(o.begun).Milliseconds())
	o.begun = time.Time{}
	o.stop()
}

func (db *DB) probe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(probePause):
		}
		bounded, cancel := context.WithTimeout(ctx, probeTimeout)
		err := db.transact(bounded, db.pool, "probe", nil, func(tx *transaction) error {
			_, err := tx.ExecContext(bounded, `SELECT 1`)
			return err
		})
		cancel()
		if err == nil {
			db.regain()
			return
		}
	}
}

// end stops the probe and waits for it.
func (o *outage) end() {
	o.mu.Lock()
	o.ended = true
	if o.stop != nil {
		o.stop()
	}
	o.mu.Unlock()
	o.probes.Wait()
}
