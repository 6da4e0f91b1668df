package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
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

Serving:
  serve           run API and worker in one process (the default): on the
                  embedded store, or on PostgreSQL and Redis where configured
  api             run an API only, on PostgreSQL and Redis
  worker          run a worker only, on PostgreSQL and Redis

Operating:
  config          show the effective configuration and where each value is from
  migrate up      bring the schema of the database up to date
  migrate down    show what taking its newest step back would delete; with --yes
                  do so. Refused while servers use the database, but for --force
  migrate redo    down, then up
  migrate status  show which steps the database has taken
  rebuild --from TIME --to TIME
                  compute the aggregates of days anew from raw events; TIME is
                  a date or RFC 3339, in UTC, and the end is not included;
                  --force also those that have lost some of these
  backup FILE     copy the embedded store into a new file, its queue beside it; a
                  server may be running on it
  export          write all that the statistics are made of, small groups too, as
                  CSV: a row for each day, tool, version, country and service;
                  a server may be running. --from TIME, --to TIME for a part,
                  --resolution hour, --what errors, --format jsonl, and
                  --output FILE, a new one, in place of standard output
  deadletters list             show the batches that could not be stored
  deadletters show ID          show one with its events
  deadletters replay ID…       put some, or --all, back into the queue
  deadletters purge ID…        delete some, or --all, for good
                  --json prints JSON in place of a table

Else:
  validate FILE…  judge batches as the server would; - is standard input
  version         show the version
  help            show this text

The configuration is read from the environment and from .env in the working
directory; .env.example lists the variables. While a server runs on the
embedded store no other command but backup and export can use that store.

Exit codes: 0 all is done; 1 something failed, or was refused for the state of
the data or the servers; 2 arguments or configuration are wrong, and nothing was
done.
`

// operatorWait is how long a command, behind which somebody sits, waits for
// servers that are away.
const operatorWait = 10 * time.Second

// program is one run of the command: what it reads and where it writes.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	// dotenv is the path of the .env file.
	dotenv string
	// ready is called with the bound address once the service works; it may
	// be nil.
	ready func(net.Addr)
}

// run does what the arguments ask for and returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	out := &output{to: p.stdout}
	p.stdout = out
	code := p.dispatch(ctx, args)
	if out.err != nil && code == exitOK {
		_, _ = fmt.Fprintf(p.stderr, "analytics: standard output cannot be written: %v\n", out.err)
		return exitFailure
	}
	return code
}

// output is standard output. A reader that has gone away, such as head, wants no
// more: the rest is dropped and the command goes on. Any other failure is kept.
type output struct {
	to  io.Writer
	err error
	// ended says that nothing is written any more.
	ended bool
}

// Write never fails, so that a command finishes its work.
func (o *output) Write(text []byte) (int, error) {
	if _, err := o.to.Write(text); err != nil {
		o.ended = true
		if !errors.Is(err, syscall.EPIPE) {
			o.err = cmp.Or(o.err, err)
		}
	}
	return len(text), nil
}

func (p program) dispatch(ctx context.Context, args []string) int {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "serve", "api", "worker":
		return p.simple(name, args, func() int { return p.serve(ctx, bootstrap.Role(name)) })
	case "migrate":
		return p.migrate(ctx, args)
	case "rebuild":
		return p.rebuild(ctx, args)
	case "backup":
		return p.backup(ctx, args)
	case "export":
		return p.export(ctx, args)
	case "deadletters":
		return p.deadLetters(ctx, args)
	case "config":
		return p.simple(name, args, p.config)
	case "validate":
		return p.validate(args)
	case "version", "--version":
		return p.simple(name, args, p.version)
	case "help", "-h", "--help":
		return p.help()
	default:
		_, _ = fmt.Fprintf(p.stderr, "analytics: there is no command %q; see analytics help\n", name)
		return exitUsage
	}
}

// simple runs a command that takes no arguments.
func (p program) simple(name string, args []string, do func() int) int {
	return p.command(newFlags(name), args, operands{}, func([]string) int { return do() })
}

// newFlags returns the flags of a command, none yet.
func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// operands says how many arguments that are no flags a command takes.
type operands struct {
	least, most int
	// missing asks for what is missing.
	missing string
}

// anyNumber of operands is no upper bound.
const anyNumber = -1

// command reads the flags, wherever they stand, and runs do with the operands.
func (p program) command(flags *flag.FlagSet, args []string, wanted operands, do func([]string) int) int {
	given, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help()
	case err != nil:
		return p.misused(flags.Name(), err.Error())
	case len(given) < wanted.least:
		return p.misused(flags.Name(), wanted.missing)
	case wanted.most == 0 && len(given) > 0:
		return p.misused(flags.Name(), "takes no arguments")
	case wanted.most != anyNumber && len(given) > wanted.most:
		return p.misused(flags.Name(), "too many arguments")
	}
	return do(given)
}

func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var given []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return given, nil
		}
		given = append(given, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func (p program) misused(name, problem string) int {
	_, _ = fmt.Fprintf(p.stderr, "analytics %s: %s; see analytics help\n", name, problem)
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
func (p program) load(role bootstrap.Role) (bootstrap.Config, []bootstrap.Setting, bool) {
	config, settings, err := bootstrap.Load(p.environ, p.dotenv, role)
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr, "analytics: the configuration cannot be used:\n%v\n", err)
	}
	return config, settings, err == nil
}

// warn prints what in the configuration is probably not meant so.
func (p program) warn() {
	for _, doubt := range bootstrap.Doubts(p.environ, p.dotenv) {
		_, _ = fmt.Fprintf(p.stderr, "analytics: warning: %s %s\n", doubt.Variable, doubt.Message)
	}
}

// finishLog is how long the end of a server waits for the reader of its log.
const finishLog = time.Second

func (p program) serve(ctx context.Context, role bootstrap.Role) int {
	writer := bootstrap.NewLogWriter(p.stderr)
	defer writer.Close(finishLog)
	p.stderr = writer
	config, _, ok := p.load(role)
	if !ok {
		p.warn()
		return exitUsage
	}
	log := bootstrap.NewLogger(writer, config) //nolint:contextcheck // lost lines are reported whatever has ended
	for _, doubt := range bootstrap.Doubts(p.environ, p.dotenv) {
		log.Warn("a variable probably does not do what it was meant to do", "variable", doubt.Variable, "problem", doubt.Message)
	}
	return p.outcome(bootstrap.Run(ctx, config, bootstrap.Options{
		Log:          log,
		DroppedLines: writer.Dropped,
		Version:      buildVersion(),
		Ready:        p.ready,
	}))
}

// operate runs what an operator does beside the servers. Its output is what the
// command says on standard output; what the parts underneath warn of comes
// after it, on standard error.
func (p program) operate(do func(bootstrap.Config, bootstrap.Options) error) int {
	config, _, ok := p.load(bootstrap.RoleServe)
	p.warn()
	if !ok {
		return exitUsage
	}
	warnings := new(notices)
	err := do(config, bootstrap.Options{Log: slog.New(noticeHandler{to: warnings}), Wait: operatorWait})
	warnings.print(p.stderr)
	return p.outcome(err)
}

// outcome prints the error, if any. A setting may prove wrong as late as when it
// is used.
func (p program) outcome(err error) int {
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(p.stderr, "analytics: %v\n", err)
	if domain.CodeOf(err) == domain.CodeInvalid {
		return exitUsage
	}
	return exitFailure
}

// config shows the settings even when they cannot be used, because then they
// are looked at most.
func (p program) config() int {
	_, settings, ok := p.load(bootstrap.RoleServe)
	p.warn()
	table := p.table()
	for _, s := range settings {
		_, _ = fmt.Fprintf(table, "%s=%s\t%s\n", s.Name, s.Value, s.Source)
	}
	_ = table.Flush()
	if !ok {
		return exitUsage
	}
	return exitOK
}

func (p program) table() *tabwriter.Writer { return tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0) }
