// Package ports says what the use cases need from the world. A port here is an
// interface; HTTP handlers and database code are adapters and live under
// adapters.
//
// The comments are promises: package contract under test holds one suite per
// port, and every adapter passes it. All implementations are safe for
// concurrent use. Errors carry a [domain.Code]; an error without one is a
// defect. A call with a context that has ended returns the context's error in
// its chain. A context whose deadline passes during a call ends the call; when it
// is cancelled during a call, an adapter whose calls are short may finish the call.
package ports

//go:generate go tool mockgen -source=queue.go -destination=mocks/queue.go -package=mocks
//go:generate go tool mockgen -source=store.go -destination=mocks/store.go -package=mocks
//go:generate go tool mockgen -source=merge.go -destination=mocks/merge.go -package=mocks
//go:generate go tool mockgen -source=deadletters.go -destination=mocks/deadletters.go -package=mocks
//go:generate go tool mockgen -source=rebuild.go -destination=mocks/rebuild.go -package=mocks
//go:generate go tool mockgen -source=export.go -destination=mocks/export.go -package=mocks
//go:generate go tool mockgen -source=cache.go -destination=mocks/cache.go -package=mocks
//go:generate go tool mockgen -source=runtime.go -destination=mocks/runtime.go -package=mocks
//go:generate go tool mockgen -source=limiter.go -destination=mocks/limiter.go -package=mocks
