package eventstore

// Types is the registry of every event type Annal has ever written. Names stay
// for ever; a changed shape gets a new name.
func Types() *Registry {
	r := NewRegistry()
	return r
}
