package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// maxInput is more than any file has that can be used. One without end, such as
// /dev/zero, is not read any further.
const maxInput = 64 << 20 // bytes

// readFile returns what the file called name has, or the cause of ctx if that is done
// before: a FIFO has no content before somebody writes it.
func readFile(ctx context.Context, name string) ([]byte, error) {
	return interruptible(ctx, func() ([]byte, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAll(f, name)
	})
}

// readInput returns what r has, or the cause of ctx if that is done before; name is for
// messages.
func readInput(ctx context.Context, r io.Reader, name string) ([]byte, error) {
	return interruptible(ctx, func() ([]byte, error) { return readAll(r, name) })
}

func readAll(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(data) > maxInput {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxInput)
	}
	return data, err
}

// interruptible returns what read returns. A read that ctx has interrupted ends with
// the process.
func interruptible(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := read()
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
