package main

import "os"

// syncDisks does nothing: there is no such call.
func syncDisks() {}

// peakMemory is not known.
func peakMemory(*os.ProcessState) int64 { return 0 }
