package blobstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mstore/mstore/internal/durable"
)

// pace says how often an ingest leaves marks.
type pace struct {
	checkpoint int64         // bytes hashed between two checkpoints: what an heir reads back at most
	watermark  int64         // bytes hashed between two watermarks: what a power cut costs at most,
	every      time.Duration // or so much time, while bytes come
}

// defaultPace costs nothing that can be measured: a checkpoint is a write of 128 bytes, a watermark a sync of what the
// kernel was asked to write long ago.
func defaultPace() pace {
	return pace{checkpoint: 64 << 20, watermark: 256 << 20, every: 15 * time.Second}
}

// errUnusable says that a partial cannot be what its ingest needs, and is to be thrown away.
var errUnusable = errors.New("a partial blob of no use")

// replay finds out what of the data can be relied on, and from which mark the hash can go on. Marks that were found
// wanting are removed. A partial of unknown digest keeps its watermark, of which the hash is not used: nothing would find
// out that it is of other bytes.
//
// What this boot wrote is there when its journal says so; what another wrote, below the watermark. The data's own size
// has to agree. Where no system tells of its boots, a journal counts only when a digest will find out.
func (p *partial) replay(boot string, size int64) (have extents, from mark, err error) {
	info, err := p.data.Stat()
	if err != nil {
		return nil, mark{}, err
	}
	length, secured := info.Size(), p.watermarks.top.offset
	if size >= 0 && length > size || length < secured {
		return nil, mark{}, fmt.Errorf("%w: its data has %d bytes", errUnusable, length)
	}
	named := strings.HasPrefix(filepath.Base(p.path), byName)
	have, stamp, err := readJournal(p.path, boot, length)
	if ignoreMissing(err) != nil {
		return nil, mark{}, err
	}
	if named && boot == "" {
		have = nil
	}
	have.add(0, secured)
	modified := info.ModTime()
	if sameData := boot != "" && stamp == modified.UnixNano() || olderThanBoot(modified); !named && sameData {
		from = trusted(have.front(), p.checkpoints.top, p.watermarks.top)
	}
	if from.offset == 0 && !named {
		if err := p.forgetMarks(); err != nil {
			return nil, mark{}, err
		}
	}
	return have, from, p.begin(boot, have, length)
}

// begin makes the folder say what is relied on, and nothing else: the data is cut behind what have tells of, and the
// journal written anew. A cut that cuts nothing is left out: it would change the time of the data, after which the journal
// that is there would not count, should the new one fail.
func (p *partial) begin(boot string, have extents, length int64) (err error) {
	if have.end() != length {
		if err := durable.Truncate(p.data, have.end()); err != nil {
			return err
		}
	}
	info, err := p.data.Stat()
	if err != nil {
		return err
	}
	p.journal, err = newJournal(p.path, boot, have, info.ModTime().UnixNano())
	return err
}

// olderThanBoot tells that this kernel has not seen t, as far as it tells when it began. The two seconds are for clocks
// of whole seconds.
func olderThanBoot(t time.Time) bool {
	raw, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return false
	}
	up, _, _ := strings.Cut(string(raw), " ")
	seconds, err := strconv.ParseFloat(up, 64)
	return err == nil && time.Since(t) > time.Duration(seconds*float64(time.Second))+2*time.Second
}

func (p *partial) forgetMarks() error {
	p.marking.Lock()
	defer p.marking.Unlock()
	return errors.Join(p.checkpoints.forget(), p.watermarks.forget())
}

// distrust removes the marks after a hash that went on from one was wrong. Where they cannot be removed, nobody may go
// on from here.
func (p *partial) distrust() {
	p.work.Wait()
	if err := p.forgetMarks(); err != nil {
		p.spoil(err)
	}
}

// checkpoint writes a mark for an heir of this boot. It is not synced, and a failure costs the heir some reading.
func (p *partial) checkpoint(m mark) error {
	p.marking.Lock()
	defer p.marking.Unlock()
	return p.checkpoints.put(m)
}

// startSecuring makes the bytes before the mark durable, and then the mark, in a goroutine of its own. It is false when
// one is at work already.
func (p *partial) startSecuring(m mark) bool {
	if !p.securing.TryLock() {
		return false
	}
	p.work.Go(func() {
		defer p.securing.Unlock()
		if err := p.secure(m); err != nil {
			p.spoil(err)
		}
	})
	return true
}

// secure makes a watermark. Its error is one of a sync, and final for the partial. A mark that could not be written is
// none: the one before stays.
func (p *partial) secure(m mark) error {
	if err := durable.SyncData(p.data); err != nil {
		return err
	}
	p.marking.Lock()
	defer p.marking.Unlock()
	if p.watermarks.put(m) != nil || p.watermarks.file == nil {
		return nil
	}
	if err := durable.SyncData(p.watermarks.file); err != nil || p.known {
		return err
	}
	err := p.secureNames()
	p.known = err == nil
	return err
}

// secureNames makes durable whose the partial is, and the names of its files: without them nobody would find it.
func (p *partial) secureNames() error {
	owner, err := openRegular(filepath.Join(p.path, ownerFile))
	if err != nil {
		return err
	}
	err = errors.Join(durable.SyncData(owner), owner.Close(), durable.SyncDir(p.path))
	return errors.Join(err, durable.SyncDir(filepath.Dir(p.path)))
}

// settle waits for a watermark under way. Its error is that of a sync: what was written is not to be used.
func (p *partial) settle() error {
	p.work.Wait()
	return p.state()
}
