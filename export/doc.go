// Package export makes a model that is in the store into a folder of files.
//
// [Files] writes a model into a folder of the user's: what it writes is the user's, and nothing that is writable there
// shares an inode with the store. [OCI], [HuggingFace] and [Ollama] add a model to a folder that is laid out as other
// tools keep models, by the same rules. [Views] keeps models as folders inside the store, of hard links to blobs, for
// programs that open a model where it lies; views are derived and can be removed and made again at any time.
//
// Names come from manifests and archives, which strangers write. Manifests were checked by package manifest; archives
// are checked here: unpacking follows no link, keeps no device, owner or special mode, and ends at a bound on what an
// archive may expand to. All writing goes through an [os.Root], so that a link somebody planted leads nowhere, and
// through a private folder beside the final names, so that a file appears whole or not at all.
//
// The package knows nothing of networks and tags. It holds no lease: whoever calls it keeps the model from the sweep.
package export

import "errors"

var (
	// ErrExists: something that is not the model's is where one of its files belongs. Nothing was changed.
	ErrExists = errors.New("something else is in the way")
	// ErrUnsafe: an archive is damaged, or holds what must not be unpacked. Nothing of the model's archives was put in
	// place.
	ErrUnsafe = errors.New("unsafe archive")
	// ErrMode: the mode is none of the Modes, or none for this layout.
	ErrMode = errors.New("not a mode of export")
	// ErrLayout: this model, or a model of this name, cannot be in the layout. Nothing was changed.
	ErrLayout = errors.New("not possible in this layout")
)
