// Command analytics is the anonymous usage analytics server of Weather MCP.
// "analytics help" tells what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ignoreSignals()
	os.Exit(program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ: os.Environ(), dotenv: ".env",
	}.run(untilSignal(), os.Args[1:]))
}

// ignoreSignals keeps the process alive when the reader of its output goes away
// (SIGPIPE: writing fails with EPIPE instead) and when the terminal or the
// session that it was started from ends (SIGHUP). There is nothing to reopen: logs go to
// standard error, and the configuration is read once.
func ignoreSignals() { signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) }

// untilSignal returns a context that ends with the first SIGINT or SIGTERM, so
// that the service stops in order. By then the default handling is back in
// place: a second signal ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return ctx
}
