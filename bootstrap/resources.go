package bootstrap

import (
	"errors"
	"slices"
)

// resources are what has been opened. They are closed when nothing uses them
// any more, also after a start that failed half-way.
type resources []func() error

func (r *resources) add(closer func() error) { *r = append(*r, closer) }

// close closes everything, what was opened last first.
func (r *resources) close() error {
	var errs []error
	for _, closer := range slices.Backward(*r) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}
