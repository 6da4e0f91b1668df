// Package clocks_test runs the whole service with clocks that are wrong.
package clocks_test
