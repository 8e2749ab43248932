// Package faultserver serves blobs over HTTP, misbehaves in every way that servers were seen to, and counts what it
// served. It is for tests and for benchmarks: a [Server] listens on loopback and speaks HTTP/1.1 and HTTP/2 by itself,
// because what goes wrong on the wire (a header of garbage, a reset after so many bytes) is below what net/http lets a
// handler do. It knows nothing of this project.
//
// What is served is a [Blob], whose content may be [Content], which costs nothing for any number of gigabytes; with a
// [Manifest] the server is a registry too, from which can be pulled and to which can be pushed. How fast, how late and
// how much at once is its [Shape]; tokens and redirects to a second host are in [Options]. All of these may be combined.
//
// What goes wrong is a [Fault] of the table [Faults], put somewhere by an [Injection]:
//
//	for _, f := range faultserver.On(faultserver.OnBlob) {
//		s, err := faultserver.Serve(faultserver.Options{
//			Blobs:  []faultserver.Blob{{Path: "/blob", Data: faultserver.Content(1, size), Size: size}},
//			Faults: []faultserver.Injection{{Fault: f, Offset: size / 2, Times: 1}},
//		})
//		...
//	}
//
// [Injection.Overcome] says what to expect: the right bytes, or an error.
//
// # The cases that are not in the table
//
// The numbers are those of the list of misbehaving servers. These are of no server, or of several faults at once:
//
//   - 6 and 7, a partial file that is too long or corrupt, are states of the client. [Blob] is served well to it; a
//     Range beyond the end is answered 416 as it should be.
//   - 31, names that do not resolve and addresses that swallow packets, is below a server: a dialer of the test does it.
//   - 32, one range of many that fails for good, is any fault with [Injection.Only]; one that is ignored later is
//     the fault of case 1 with [Injection.Skip].
//   - 33, many processes and one origin that counts, is [Server.Count].
package faultserver
