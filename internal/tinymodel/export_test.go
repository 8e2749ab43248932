package main

// Write is for the tests.
var Write = write
