// Package egresstest has what stands between a process and the outside: an HTTP proxy, an authority for certificates and servers that
// have them. Programs may use it, too: it does not know the testing package.
package egresstest
