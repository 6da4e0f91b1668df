// Package app holds the use cases. Each is a small type over the ports it
// needs; none knows how a request arrived or where data is kept.
package app
