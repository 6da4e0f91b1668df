// Package bootstrap reads the configuration and puts the service together.
//
// It is the only package that knows the fx container: everything else has
// plain constructors, which are bound to ports here.
package bootstrap
