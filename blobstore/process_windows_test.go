package blobstore_test

import (
	"context"
	"errors"
)

func execRole(context.Context, string) error { return errors.ErrUnsupported }
