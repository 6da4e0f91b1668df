package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// connectionError is a connection that could not be made, or that broke or was
// given up in the middle of a call.
type connectionError struct {
	err  error
	made bool
}

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// errClosed is the outcome of calls after Close.
var errClosed = errors.New("closed")

// refusal is what an answer of the server that begins with code means: a
// sentence for clients, and what the operator can do.
type refusal struct{ code, message, advice string }

var refusals = []refusal{
	{"NOAUTH", "the queue refuses the connection", "Redis wants a password: set it in REDIS_URL or REDIS_PASSWORD"},
	{"WRONGPASS", "the queue refuses the connection", "Redis does not take the user or password: correct REDIS_URL or REDIS_PASSWORD"},
	{
		"NOPERM", "the queue's user lacks a right that the service needs",
		"the Redis user may not do this: grant it all commands on the keys and channels that begin with QUEUE_KEY",
	},
	{"NOCOMMAND", "the queue lacks a command that the service needs", "Redis does not know a command: it is too old, or rename-command hides it"},
	{"READONLY", "the queue is read-only", "this Redis is a replica that cannot be written: let REDIS_URL name the primary"},
	{"DBINDEX", "the queue refuses the connection", "Redis has no database of this number: correct it in REDIS_URL or REDIS_DB"},
	{"MAXCLIENTS", "the queue has no connection left", "Redis has as many clients as it may have: raise maxclients"},
	{"LOADING", "the queue is starting", "Redis is reading its data and will answer soon"},
	{"OOM", "the queue's memory is full", "Redis has reached maxmemory: raise it, or lower MAX_QUEUE_MB"},
	{"MISCONF", "the queue cannot be written", "Redis cannot write to its disk: make room there, or see its log"},
	{"NOREPLICAS", "the queue cannot be written", "too few replicas are connected: see min-replicas-to-write"},
	{"MASTERDOWN", "the queue is not available", "this Redis is a replica without its primary: let REDIS_URL name the primary"},
	{"SENTINEL", "the queue is not available", "a Sentinel cannot be used: let REDIS_URL name the primary, by a host name or proxy that follows it when it changes"},
	{"MOVED", "the queue is not available", "a Redis cluster cannot be used: let REDIS_URL name a single server"},
	{"CLUSTERDOWN", "the queue is not available", "a Redis cluster cannot be used: let REDIS_URL name a single server"},
	{"BUSY", "the queue is busy", "another script keeps Redis busy"},
	{"UNKILLABLE", "the queue is busy", "another script keeps Redis busy"},
	{"NOSCRIPT", "the queue is not available", "Redis has forgotten a script while it was sent: this passes"},
	{"UNBLOCKED", "the queue is not available", "Redis has become a replica: let REDIS_URL name the primary"},
	{"IOERR", "the queue is not available", "Redis cannot reach what it depends on: see its log"},
	{"ASK", "the queue is not available", "a Redis cluster cannot be used: let REDIS_URL name a single server"},
	{"CROSSSLOT", "the queue is not available", "a Redis cluster cannot be used: let REDIS_URL name a single server"},
	{"TRYAGAIN", "the queue is not available", "a Redis cluster cannot be used: let REDIS_URL name a single server"},
	{"WRONGTYPE", "the queue is not available", "a key that begins with QUEUE_KEY holds something else: choose another QUEUE_KEY"},
}

// namelessAnswers are those that have no code of their own.
var namelessAnswers = []struct{ start, code string }{
	{"ERR AUTH ", "WRONGPASS"}, // AUTH without a password configured
	{"ERR DB index", "DBINDEX"},
	{"ERR invalid DB index", "DBINDEX"},
	{"ERR max number of clients", "MAXCLIENTS"},
	{"ERR unknown command 'SELECT'", "SENTINEL"},
	{"ERR unknown command `SELECT`", "SENTINEL"},
	{"ERR unknown command", "NOCOMMAND"},
}

// scriptAnswers are those of a command inside a script, which have no code of
// their own in some versions, and other words around them.
var scriptAnswers = []struct{ words, code string }{
	{"The user executing the script can't", "NOPERM"},
	{"ACL failure in script", "NOPERM"},
	{"Unknown Redis command called from", "NOCOMMAND"},
}

// scriptFailure finds the answer that stopped a script, which older servers
// wrap in words of their own.
var scriptFailure = regexp.MustCompile(`^ERR Error running script .*?\b([A-Z]{3,}) `)

// refusalOf returns the refusal in err, if it is one.
func refusalOf(err error) (refusal, bool) {
	answer, ok := errors.AsType[redigo.Error](err)
	if !ok {
		return refusal{}, false
	}
	code, _, _ := strings.Cut(string(answer), " ")
	if found := scriptFailure.FindStringSubmatch(string(answer)); found != nil {
		code = found[1]
	}
	for _, a := range namelessAnswers {
		if strings.HasPrefix(string(answer), a.start) {
			code = a.code
			break
		}
	}
	for _, a := range scriptAnswers {
		if strings.Contains(string(answer), a.words) {
			code = a.code
		}
	}
	for _, r := range refusals {
		if r.code == code {
			return r, true
		}
	}
	return refusal{}, false
}

var (
	urlWords   = strings.NewReplacer("REDIS_URL or REDIS_PASSWORD", "REDIS_URL", "REDIS_URL or REDIS_DB", "REDIS_URL")
	partsWords = strings.NewReplacer("REDIS_URL or REDIS_PASSWORD", "REDIS_PASSWORD", "REDIS_URL or REDIS_DB", "REDIS_DB",
		"let REDIS_URL name", "let REDIS_HOST name", "host and port in REDIS_URL, which begins with rediss:// for TLS", "REDIS_HOST and REDIS_PORT")
)

// wording names what the operator has configured.
func (c Config) wording(advice string) string {
	if c.ByParts {
		return partsWords.Replace(advice)
	}
	return urlWords.Replace(advice)
}

// translate gives an error of a call its code; name is the operation and ctx
// the caller's. What it does not know is a defect and stays without a code.
func (c Config) translate(ctx context.Context, name string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", name, err)
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return wrapped
	}
	if cause := endOf(ctx); cause != nil {
		return domain.NewError(domain.CodeUnavailable, errors.Join(cause, wrapped), "the call was given up")
	}
	if r, ok := refusalOf(err); ok {
		return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%s: %s: %w", name, c.wording(r.advice), err), r.message)
	}
	if advice := tlsAdvice(err); advice != "" {
		return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%s: %s: %w", name, c.wording(advice), err), "the queue cannot be reached")
	}
	if message := connectionMessage(err); message != "" {
		return domain.NewError(domain.CodeUnavailable, wrapped, message)
	}
	return wrapped
}

// endOf returns why ctx has ended, or nil. A connection may notice a deadline
// before ctx does.
func endOf(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < time.Millisecond {
		return context.DeadlineExceeded
	}
	return nil
}

// connectionMessage says for clients what is wrong with the connection, or
// nothing when it is not the connection.
func connectionMessage(err error) string {
	if errors.Is(err, errClosed) {
		return "the queue is closed"
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return "the queue does not answer in time"
	}
	if _, ok := errors.AsType[*connectionError](err); ok {
		return "the queue cannot be reached"
	}
	return ""
}

// errPlain is a server that was to speak TLS and answers without.
var errPlain = errors.New("the server does not speak TLS")

// tlsAdvice says what to do when the two sides cannot agree on TLS, or nothing
// when that is not it.
func tlsAdvice(err error) string {
	_, noRecord := errors.AsType[tls.RecordHeaderError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	refused, _ := errors.AsType[*net.OpError](err)
	switch {
	case noRecord || errors.Is(err, errPlain):
		return "Redis does not speak TLS at this port: let REDIS_URL begin with redis://, or name the port for TLS"
	case untrusted:
		return "the certificate of Redis is not trusted: let REDIS_URL name the host that it is for, " +
			"and add who signed it to the system's certificates"
	case refused != nil && (refused.Op == "remote error" || refused.Op == "local error"):
		return "Redis and this program cannot agree on TLS: let REDIS_URL name a port that wants no certificate of clients, " +
			"or begin with redis://"
	case strings.HasPrefix(err.Error(), "redigo: "): // what was answered is no protocol of Redis
		return "what answers is not Redis: correct host and port in REDIS_URL, which begins with rediss:// for TLS"
	}
	return ""
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// isOutage reports whether err says that other calls would fail as well: no
// connection can be made, the server is silent, or it is no longer the one that
// can be written. A connection that only broke may be the only one.
func isOutage(err error) bool {
	if r, ok := refusalOf(err); ok && r.code == "READONLY" {
		return true
	}
	e, ok := errors.AsType[*connectionError](err)
	return ok && (!e.made || errors.Is(err, context.DeadlineExceeded) || isTimeout(err))
}
