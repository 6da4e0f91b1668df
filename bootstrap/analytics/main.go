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
	os.Exit(program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ: os.Environ(), dotenv: ".env",
	}.run(untilSignal(), os.Args[1:]))
}

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
