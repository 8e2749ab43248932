package registry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/mstore/mstore/fetch/transfer"
)

// judge decides what a failed request of n bytes means for the upload.
func (u *upload) judge(err error, n int64, isChunk bool) error {
	if err == nil || errors.Is(err, errAnew) {
		return err
	}
	u.doubt, u.wary = true, true
	status, ok := errors.AsType[*transfer.StatusError](err)
	if !ok || isAuth(err) {
		return err
	}
	switch {
	case status.Status == http.StatusRequestEntityTooLarge:
		return u.cut(n, err)
	case status.Status == http.StatusRequestedRangeNotSatisfiable && !u.whole:
		if u.misfits++; u.misfits > maxMisfits || u.off == 0 { // whoever has nothing, or one byte, says 0-0
			u.lose()
		}
		return fmt.Errorf("%w: the chunk does not fit: %w", transfer.ErrInterrupted, unstatus(err))
	case status.Status == http.StatusNotFound || status.Status == http.StatusGone:
		u.whole = u.whole || isChunk && u.off == 0
		u.lose()
		u.lost = true
		return fmt.Errorf("%w: the upload session is gone: %w", transfer.ErrInterrupted, unstatus(err))
	case isChunk && (isRefusal(err) || status.Status == http.StatusNotImplemented):
		u.lose() // it takes no chunks
		u.whole = true
		return errAnew
	case u.resumed && !u.mended && isRefusal(err): // what was put together is not the blob
		u.mended = true
		u.lose()
		return errAnew
	}
	return err
}

// unstatus is the text of an answer whose status is final for the request, but not for the blob.
func unstatus(err error) error { return errors.New(err.Error()) }

// cut makes requests smaller after one of n bytes was too large.
func (u *upload) cut(n int64, err error) error {
	smaller := int64(leastChunk)
	for smaller*4 < n && smaller < firstChunk {
		smaller *= 4
	}
	if u.whole || smaller >= n || smaller < u.least {
		err = fmt.Errorf("%s, or a proxy before it, takes no request of %d bytes: %w", u.t.repo.host, n, err)
		if limit := ruleFor(u.t.repo.base.Host).limit; limit != "" {
			err = fmt.Errorf("%w (%s)", err, limit)
		}
		return err
	}
	u.chunk, u.most = smaller, smaller
	return errAnew
}
