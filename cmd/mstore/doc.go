// Command mstore keeps AI models the way OCI keeps images: pull, push, import, export, list, gc, verify.
//
// The package owns what the library must not know: flags, terminals, environment variables, the words of messages and
// the exit codes. One file holds one command. What a program that imports the library would need too belongs there.
//
// Standard output carries results and nothing else; progress, log and errors go to standard error. The form of every
// JSON result is written in spec/output, and tests hold real output against it.
package main
