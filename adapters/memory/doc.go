// Package memory implements the ports in plain memory. It says what the right
// answers are: the other adapters are held to its behaviour. Nothing outlives
// the process.
package memory
