package main

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
)

type preparation = func(context.Context, *wireBridge, *load) (func(context.Context) error, func(), error)

// preEncoded returns a preparation that encodes the flows. The timed function
// writes the bytes, and waits for the reply to the last message.
func preEncoded(network string, encode func([]ofproto.FlowMod) ([]byte, uint32)) preparation {
	return func(ctx context.Context, b *wireBridge, l *load) (func(context.Context) error, func(), error) {
		wire, last := encode(l.mods)
		c, err := b.dialRaw(ctx, network)
		if err != nil {
			return nil, nil, err
		}
		return func(context.Context) error { return c.exchange(wire, last) }, func() { c.nc.Close() }, nil
	}
}

// encodeBundle returns the bytes that [ofconn.Conn.Commit] sends, and the last transaction
// ID.
func encodeBundle(mods []ofproto.FlowMod) ([]byte, uint32) {
	const id, flags = 1, ofproto.BundleAtomic | ofproto.BundleOrdered
	xid := uint32(1)
	b := ofproto.BundleControl{ID: id, Op: ofproto.BundleOpen, Flags: flags}.Append(nil, xid)
	for i := range mods {
		xid++
		b = mods[i].AppendBundled(b, id, flags, xid)
	}
	b = ofproto.BarrierRequest{}.Append(b, xid+1)
	return ofproto.BundleControl{ID: id, Op: ofproto.BundleCommit, Flags: flags}.Append(b, xid+2), xid + 2
}

// encodePlain returns the bytes that [ofconn.Conn.Program] sends, and the last transaction
// ID.
func encodePlain(mods []ofproto.FlowMod) ([]byte, uint32) {
	var b []byte
	for i := range mods {
		b = mods[i].Append(b, uint32(i+1))
	}
	xid := uint32(len(mods) + 1)
	return ofproto.BarrierRequest{}.Append(b, xid), xid
}

// committed returns a preparation for committing a bundle with ofdvr.
func committed(network string) preparation {
	return func(_ context.Context, b *wireBridge, l *load) (func(context.Context) error, func(), error) {
		return func(ctx context.Context) error { return b.conns[network].Commit(ctx, l.mods) }, nil, nil
	}
}

// programmed returns a preparation for sending plain flow mods and a barrier
// with ofdvr.
func programmed(network string) preparation {
	return func(_ context.Context, b *wireBridge, l *load) (func(context.Context) error, func(), error) {
		return func(ctx context.Context) error { return b.conns[network].Program(ctx, l.mods) }, nil, nil
	}
}

// ofctl returns a preparation for running ovs-ofctl, which reads the flows from
// a text file.
func ofctl(args ...string) preparation {
	return func(ctx context.Context, b *wireBridge, l *load) (func(context.Context) error, func(), error) {
		cmd := b.h.Command(ctx, "ovs-ofctl", append(append([]string{"--protocols=OpenFlow13"}, args...), benchBridge, l.file)...)
		return func(context.Context) error {
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			return nil
		}, nil, nil
	}
}
