package bootstrap

// Role is what a process does.
type Role string

// The roles. An API or a worker alone needs PostgreSQL and Redis, and there
// may be any number of each.
const (
	// RoleServe is API and worker in one process: the default.
	RoleServe  Role = "serve"
	RoleAPI    Role = "api"
	RoleWorker Role = "worker"
)

// answers reports whether clients are answered.
func (r Role) answers() bool { return r != RoleWorker }

// works reports whether batches are stored and what is due is deleted.
func (r Role) works() bool { return r != RoleAPI }

// shares reports whether the role has a part of the work only, so that queue
// and store must be reachable for other processes.
func (r Role) shares() bool { return r == RoleAPI || r == RoleWorker }
