package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// wording is how errors name what the operator has configured.
type wording struct{ login, database, owner, primary, tls, trusted string }

var (
	urlWording = wording{
		login: "user and password in DATABASE_URL", database: "its name in DATABASE_URL", owner: "the user of DATABASE_URL",
		primary: "in DATABASE_URL", tls: "sslmode=disable in DATABASE_URL", trusted: "sslmode and sslrootcert in DATABASE_URL",
	}
	partsWording = wording{
		login: "DB_USER and DB_PASSWORD", database: "DB_NAME", owner: "DB_USER",
		primary: "with DB_HOST", tls: "DB_SSLMODE=disable", trusted: "DB_SSLMODE",
	}
)

func (c Config) wording() wording {
	if c.ByParts {
		return partsWording
	}
	return urlWording
}

// translate gives an error its code. name is the operation.
func (c Config) translate(ctx context.Context, name string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", name, err)
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return wrapped
	}
	if cause := ctx.Err(); cause != nil {
		// The driver tells a cancellation in words of its own.
		return domain.NewError(domain.CodeUnavailable, errors.Join(cause, wrapped), "the call was given up")
	}
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return c.translateState(e, wrapped)
	}
	if errors.Is(err, pq.ErrSSLNotSupported) {
		return domain.NewError(domain.CodeUnavailable,
			fmt.Errorf("%w: if the network can be trusted, set %s", wrapped, c.wording().tls), "the database offers no TLS")
	}
	if isUntrusted(err) {
		return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%w: the certificate of the database server is not trusted: correct %s",
			wrapped, c.wording().trusted), "the database cannot be reached")
	}
	if isDisconnection(err) {
		return domain.NewError(domain.CodeUnavailable, wrapped, "the database cannot be reached")
	}
	return wrapped
}

// isUntrusted reports whether the server's certificate was refused.
func isUntrusted(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, misnamed := errors.AsType[x509.HostnameError](err)
	return unverified || unknown || misnamed
}

// Explain gives an error of package migrations, on a database that [Connect]
// opened, its code and says what to do. name is the operation.
func (c Config) Explain(ctx context.Context, name string, err error) error {
	return c.translate(ctx, name, err)
}

// connectError recognizes what is wrong with the URL in an error of connecting
// with these parameters.
func connectError(err error, parameters []string) error {
	e, ok := errors.AsType[*pq.Error](err)
	if !ok {
		return err
	}
	var problem string
	switch {
	case isParameterRefusal(e):
		problem = fmt.Sprintf("the pooler in front of the database does not take %s: remove them from DATABASE_URL, "+
			"set them with ALTER ROLE … SET instead, or connect without the pooler", strings.Join(parameters, " and "))
	case e.Code == pqerror.UndefinedObject:
		problem = "the options in DATABASE_URL have a parameter that PostgreSQL does not know: correct or remove it"
	case e.Code == pqerror.CantChangeRuntimeParam:
		problem = "the options in DATABASE_URL have a parameter that a connection cannot set: correct or remove it"
	case e.Code == pqerror.InvalidParameterValue:
		problem = "DATABASE_URL gives a parameter a value that PostgreSQL does not take: correct or remove it"
	default:
		return err
	}
	return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%s: %w", problem, err), "the database refuses the connection")
}

// stateOf is the SQLSTATE of an error. PgBouncer has the one of a broken protocol
// for all that it refuses itself; what is meant stands in the text alone.
func stateOf(e *pq.Error) pqerror.Code {
	if e.Code != pqerror.ProtocolViolation {
		return e.Code
	}
	has := func(text string) bool { return strings.Contains(e.Message, text) }
	switch {
	case has("unsupported startup parameter"):
		return pqerror.InvalidParameterValue
	case has("authentication failed"), has("auth failed"), has("no such user"), has("not allowed to connect"):
		return pqerror.InvalidPassword
	case has("does not exist"), has("no such database"):
		return pqerror.InvalidCatalogName
	case has("no more connections allowed"):
		return pqerror.TooManyConnections
	default:
		return e.Code
	}
}

// isParameterRefusal reports whether a pooler does not take a parameter.
func isParameterRefusal(e *pq.Error) bool {
	return e.Code == pqerror.ProtocolViolation && strings.Contains(e.Message, "unsupported startup parameter")
}

// advice is what a client is told of a server's error, and what an operator
// can do.
type advice struct{ message, remedy string }

// adviceOn knows the SQLSTATEs that tell of the server and not of what it was
// given, by code or by class.
func (w wording) adviceOn(state pqerror.Code) (advice, bool) {
	switch state {
	case pqerror.InvalidCatalogName:
		return advice{"the database does not exist", "create it, or correct " + w.database}, true
	case pqerror.InsufficientPrivilege:
		return advice{"the database refuses what the program must do", "make " + w.owner + " owner of the database"}, true
	case pqerror.ReadOnlySQLTransaction:
		return advice{"the database cannot be written", "it is a standby or set read-only: name the primary " + w.primary}, true
	case pqerror.FeatureNotSupported:
		return advice{"the database cannot do what the program needs", "if it is a standby, name the primary " + w.primary}, true
	}
	if state.Class() == "28" {
		return advice{"the database refuses the program's credentials", "correct " + w.login}, true
	}
	a, known := stateAdvice[state]
	if !known {
		a, known = classAdvice[state.Class()]
	}
	return a, known
}

var stateAdvice = map[pqerror.Code]advice{
	pqerror.DiskFull:                        {"the database has no room left", "free disk space on the database server"},
	pqerror.TooManyConnections:              {"the database has no connection left", "lower DB_MAX_CONNECTIONS, or raise max_connections of the server"},
	pqerror.QueryCanceled:                   {"the database took too long", "see the log of the database server"},
	pqerror.TRSerializationFailure:          {"the database is busy", "this passes"},
	pqerror.TRDeadlockDetected:              {"the database is busy", "this passes"},
	pqerror.LockNotAvailable:                {"the database is busy", "this passes, unless another program holds locks"},
	pqerror.IdleInTransactionSessionTimeout: {"the database took too long", "the process was stopped or starved"},
	pqerror.InvalidSQLStatementName:         {"the connection to the database was changed meanwhile", "a pooler in between must keep a transaction on one connection"},
}

var classAdvice = map[pqerror.Class]advice{
	"08": {"the database cannot be reached", "see whether the database server runs"},
	"3F": {"the database has no schema for the tables", "create the one that search_path names, or correct search_path of the role or in DATABASE_URL"},
	"25": {"the database cannot be written", "it is a standby or set read-only, or a pooler in between breaks transactions: name the primary in DATABASE_URL"},
	"42": {"the database has another schema than the program expects", "run analytics migrate status"},
	"53": {"the database is short of resources", "see the log of the database server"},
	"54": {"the database has reached a limit of its own", "see the log of the database server"},
	"55": {"the database is busy", "another program holds what is needed: see the log of the database server"},
	"57": {"the database is stopping or starting", "this passes, unless the server was stopped for good"},
	"58": {"the database server has a fault", "see the log of the database server"},
	"F0": {"the database server has a fault", "its configuration is damaged: see the log of the database server"},
	"XX": {"the database is damaged", "see the log of the database server"},
}

// translateState tells by the SQLSTATE whether to wait, to give the data up or
// to look for a defect. It is the one place where SQLSTATEs have a meaning.
func (c Config) translateState(e *pq.Error, err error) error {
	if isUnplaced(e) {
		// The server's detail repeats the hour of the row.
		return unplaced(fmt.Errorf("SQLSTATE %s (%s), table %q", e.Code, e.Code.Name(), e.Table))
	}
	if isMoved(e) {
		return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%w: this passes", err), "the database is busy")
	}
	switch e.Code.Class() {
	case "22", "23":
		// The server's sentence may repeat what was submitted.
		return domain.NewError(domain.CodePoison,
			fmt.Errorf("SQLSTATE %s (%s), table %q, column %q, constraint %q", e.Code, e.Code.Name(), e.Table, e.Column, e.Constraint),
			"an event holds what cannot be stored")
	}
	a, known := c.wording().adviceOn(stateOf(e))
	if !known {
		return err
	}
	code := domain.CodeUnavailable
	if e.Code == pqerror.DiskFull {
		code = domain.CodeDiskFull
	}
	return domain.NewError(code, fmt.Errorf("%w: %s", err, a.remedy), a.message)
}

// errUnplaced is a table without a partition for a row.
var errUnplaced = errors.New("no partition takes a row, not even the default one: " +
	"the program makes what is missing, unless its role is not owner of the table")

// unplaced is errUnplaced with a code.
func unplaced(where error) error {
	return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%w: %w", where, errUnplaced), "the database lacks a partition")
}

// isUnplaced reports whether no partition takes a row, not even the default one.
func isUnplaced(e *pq.Error) bool {
	return e.Code == pqerror.CheckViolation && e.Constraint == "" && e.Routine == "ExecFindPartition"
}

// isMoved reports whether a row had no place because a partition was made or
// dropped meanwhile. Unlike a row that the table refuses it breaks no
// constraint with a name.
func isMoved(e *pq.Error) bool {
	return e.Code == pqerror.CheckViolation && e.Constraint == "" && !isUnplaced(e)
}

// isPassing reports whether the same transaction may succeed at once.
func isPassing(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		switch e.Code {
		case pqerror.TRSerializationFailure, pqerror.TRDeadlockDetected, pqerror.LockNotAvailable:
			return true
		}
		return isMoved(e)
	}
	return isDisconnection(err)
}

func isDisconnection(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed)
}
