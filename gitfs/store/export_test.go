package store

// ReverseFrom, SmallPack and SmallObjects are limits for tests.
const (
	ReverseFrom  = reverseFrom
	SmallPack    = smallPack
	SmallObjects = smallObjects
)
