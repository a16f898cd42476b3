package credentials

// HashesComputed tells tests how often a hash was paid for.
func (a *Authenticator) HashesComputed() int64 { return a.hasher.computed.Load() }
