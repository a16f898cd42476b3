// Package faultpoint marks the steps of a push, and of maintenance, at which a crash must
// do no harm. Built with the tag "faults", a process kills itself at the point that the
// environment variable ANNAL_FAULT names.
package faultpoint
