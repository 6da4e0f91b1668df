// Package contract tests adapters against the promises of package ports: a
// suite for each port or group of ports. Every adapter runs them, and what
// they cannot see through the ports the adapter lends in a harness.
//
// It also makes the events that tests and benchmarks are fed with.
package contract
