package tasks

// LookEvery is lookEvery, for the package's tests.
var LookEvery = lookEvery
