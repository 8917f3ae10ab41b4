package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// maxInput is larger than any usable file. It stops the reading of endless files such as
// /dev/zero.
const maxInput = 64 << 20 // bytes

// readFile returns the contents of a file, or the cause of ctx if ctx is done first. Reading a FIFO
// can take long, because it waits for a writer.
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

// readInput returns all data of r, or the cause of ctx if ctx is done first. name is for messages.
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

// interruptible returns the result of read, or the cause of ctx if ctx is done first. Then read
// continues until the process ends.
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
