package log

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
)

// zipped is behind the name of a file that was compressed. Such a file is brigd's own work, as all that is read here is.
const zipped = ".gz"

// segment is a file of a log, open for reading.
type segment struct {
	*os.File
	zip *gzip.Reader // nil: it is not compressed
}

func openSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err == nil {
		return &segment{File: f}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// The plain file goes once the other is complete, so looking in this order finds one of them.
	if f, err = os.Open(path + zipped); err != nil {
		return nil, err
	}
	s := &segment{File: f}
	if s.zip, err = gzip.NewReader(f); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *segment) Read(b []byte) (int, error) {
	if s.zip != nil {
		return s.zip.Read(b)
	}
	return s.File.Read(b)
}

// rewind goes back to the beginning.
func (s *segment) rewind() error {
	if _, err := s.Seek(0, io.SeekStart); err != nil || s.zip == nil {
		return err
	}
	return s.zip.Reset(s.File)
}

// open opens all files, oldest first, and tells the number of the newest.
func (s *store) open() ([]*segment, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mended {
		if f, err := os.OpenFile(s.numbered(0), os.O_RDWR, 0); err == nil {
			err = s.mend(f)
			f.Close()
			if err != nil {
				return nil, 0, fmt.Errorf("log: %w", err)
			}
		}
	}
	var files []*segment
	for i := s.files - 1; i >= 0; i-- {
		f, err := openSegment(s.numbered(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, 0, fmt.Errorf("log: %w", err)
		}
		files = append(files, f)
	}
	return files, s.gen, nil
}

func (s *store) state() (wake chan struct{}, live bool, gen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake, s.live, s.gen
}

// openNumber opens the file after number gen, or the oldest one that is still there; with first set, number gen itself. nil:
// there is none yet.
func (s *store) openNumber(gen int, first bool) (*segment, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := gen + 1
	if first {
		want = gen
	}
	want = max(want, s.gen-s.files+1)
	f, err := openSegment(s.numbered(s.gen - want))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("log: %w", err)
	}
	return f, want, nil
}

// rotate moves every file one number up, drops the oldest and opens a new one.
func (s *store) rotate(path string) (*os.File, error) {
	s.zip.Wait()
	// A client that never reads may have the oldest file open for ever: what it holds must be no bytes.
	for _, end := range []string{"", zipped} {
		f, err := os.OpenFile(s.numbered(s.files-1)+end, os.O_WRONLY|os.O_TRUNC, 0)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for i := s.files - 1; i > 0; i-- {
		for _, end := range []string{"", zipped} {
			err := os.Rename(s.numbered(i-1)+end, s.numbered(i)+end)
			if errors.Is(err, fs.ErrNotExist) && s.compress {
				// What has this name may be the other form of what was moved there last.
				err = os.Remove(s.numbered(i) + end)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if !s.compress {
				break
			}
		}
	}
	s.gen++
	if s.compress {
		before := s.numbered(1)
		s.zip.Go(func() {
			if err := compress(before); err != nil {
				slog.Warn("a log stays uncompressed", "error", err)
			}
		})
	}
	return os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
}

// compress makes a compressed file of a plain one. A kill leaves the plain one, or both.
func compress(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	part := path + zipped + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(z, in)
		err = errors.Join(err, z.Close())
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, path+zipped); err != nil {
		return err
	}
	return os.Remove(path)
}
