package servers

import "syscall"

// EndWithTests has a process get the signal when this one dies, however that
// happens.
func EndWithTests(signal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: signal}
}
