//go:build !linux

package servers

import "syscall"

// EndWithTests can promise nothing here: a server outlives tests that are
// killed.
func EndWithTests(syscall.Signal) *syscall.SysProcAttr { return new(syscall.SysProcAttr) }
