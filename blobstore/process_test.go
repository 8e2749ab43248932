package blobstore_test

import "context"

var roles = map[string]func(ctx context.Context, root string) error{}
