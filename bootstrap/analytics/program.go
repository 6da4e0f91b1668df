package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"text/tabwriter"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	// exitUsage is for what the caller has to write differently: arguments or
	// configuration.
	exitUsage = 2
)

const usage = `Usage: analytics [command]

Commands:
  serve           run API and worker on the embedded store (the default)
  config          show the effective configuration and where each value is from
  validate FILE…  judge batches as the server would; - is standard input
  version         show the version
  help            show this text

The configuration is read from the environment and from .env in the working
directory; .env.example lists the variables.

Exit codes: 0 done, 1 failed or an event was refused, 2 wrong arguments or
configuration.
`

// program is one run of the command: what it reads and where it writes.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	// dotenv is the path of the .env file.
	dotenv string
	// ready is called with the bound address once the service answers; it may
	// be nil.
	ready func(net.Addr)
}

// run does what the arguments ask for and returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "validate":
		return p.command(name, args, true, p.validate)
	case "serve":
		return p.command(name, args, false, func([]string) int { return p.serve(ctx) })
	case "config":
		return p.command(name, args, false, func([]string) int { return p.config() })
	case "version", "--version":
		return p.command(name, args, false, func([]string) int { return p.version() })
	case "help", "-h", "--help":
		return p.help()
	default:
		_, _ = fmt.Fprintf(p.stderr, "analytics: there is no command %q\n\n%s", name, usage)
		return exitUsage
	}
}

// command runs do with the arguments that are no flags. Commands without
// operands refuse any, those with want at least one.
func (p program) command(name string, args []string, operands bool, do func([]string) int) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return p.help()
	case err != nil:
		return p.misused(name, err.Error())
	case operands && flags.NArg() == 0:
		return p.misused(name, "name at least one file")
	case !operands && flags.NArg() > 0:
		return p.misused(name, "takes no arguments")
	}
	return do(flags.Args())
}

func (p program) misused(name, problem string) int {
	_, _ = fmt.Fprintf(p.stderr, "analytics %s: %s\n\n%s", name, problem, usage)
	return exitUsage
}

func (p program) help() int {
	_, _ = io.WriteString(p.stdout, usage)
	return exitOK
}

func (p program) version() int {
	_, _ = fmt.Fprintln(p.stdout, "analytics", describeBuild())
	return exitOK
}

// load reads the configuration and tells everything that is wrong with it.
func (p program) load() (bootstrap.Config, []bootstrap.Setting, bool) {
	config, settings, err := bootstrap.Load(p.environ, p.dotenv)
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr, "analytics: the configuration cannot be used:\n%v\n", err)
	}
	return config, settings, err == nil
}

func (p program) serve(ctx context.Context) int {
	config, _, ok := p.load()
	if !ok {
		return exitUsage
	}
	err := bootstrap.Run(ctx, config, bootstrap.Options{
		Log:     bootstrap.NewLogger(p.stderr, config),
		Version: buildVersion(),
		Ready:   p.ready,
	})
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr, "analytics: %v\n", err)
		return exitFailure
	}
	return exitOK
}

// config shows the settings even when they cannot be used, because then they
// are looked at most.
func (p program) config() int {
	_, settings, ok := p.load()
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, s := range settings {
		_, _ = fmt.Fprintf(table, "%s=%s\t%s\n", s.Name, s.Value, s.Source)
	}
	_ = table.Flush()
	if !ok {
		return exitUsage
	}
	return exitOK
}
