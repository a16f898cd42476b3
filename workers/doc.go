// Package workers is the home of every long-lived goroutine: each is a Service,
// and a Group starts them, and stops them in the reverse order.
package workers
