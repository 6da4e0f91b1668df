package redis

import (
	"context"
	"errors"
	"net"
	"time"

	redigo "github.com/gomodule/redigo/redis"
)

// callConn is a connection for calls. A command ends by the deadline of its
// context, which is set on the connection: redigo's own DoContext takes a
// goroutine for each command. That a context is cancelled does not end a command:
// a client that went away costs no connection.
//
// A command that does not end in time leaves an answer unread, so redigo closes
// the connection and the pool makes another.
type callConn struct {
	redigo.Conn

	socket net.Conn
}

var (
	_ redigo.ConnWithContext = callConn{}

	errNoDeadline = errors.New("a call without a deadline")
	errNoReceive  = errors.New("a connection for calls cannot subscribe")
)

// DoContext runs a command. The context must have a deadline.
func (c callConn) DoContext(ctx context.Context, command string, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	end, ok := ctx.Deadline()
	left := time.Until(end)
	switch {
	case !ok:
		return nil, errNoDeadline
	case left <= 0:
		return nil, context.DeadlineExceeded
	}
	if err := c.socket.SetWriteDeadline(end); err != nil {
		return nil, err
	}
	return redigo.DoWithTimeout(c.Conn, left, command, args...)
}

// ReceiveContext fails: subscriptions have connections of another kind.
func (callConn) ReceiveContext(context.Context) (any, error) { return nil, errNoReceive }
