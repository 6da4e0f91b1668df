package app

import (
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Parallel does pieces of work on as many goroutines as the program may use cores. A
// panic of one becomes its error.
type Parallel struct{ group errgroup.Group }

// NewParallel returns one that has no work yet.
func NewParallel() *Parallel {
	p := new(Parallel)
	p.group.SetLimit(runtime.GOMAXPROCS(0))
	return p
}

// Go does a piece of work. It waits while all goroutines are busy.
func (p *Parallel) Go(work func() error) {
	p.group.Go(func() (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = PanicError(cause)
			}
		}()
		return work()
	})
}

// Wait waits until everything is done. It returns the first error there was.
func (p *Parallel) Wait() error { return p.group.Wait() }
