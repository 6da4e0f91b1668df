// Package health takes away, one after the other, everything that the service
// needs to count an event, and compares what a client's post, the health of API
// and worker, and the statistics' health answer.
package health
