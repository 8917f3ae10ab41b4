package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// An EtcdDisguise is a server that passes all calls on to a real server of etcd. It answers with a
// version of its own.
type EtcdDisguise struct {
	Endpoint string // URL

	version atomic.Pointer[string] // "" is that of the real server
	conn    *grpc.ClientConn
	server  *grpc.Server
}

// DisguiseEtcd starts a server in front of the one at a URL without TLS.
func DisguiseEtcd(url, version string) (*EtcdDisguise, error) {
	d := new(EtcdDisguise)
	d.SetVersion(version)
	var err error
	if d.conn, err = grpc.NewClient(strings.TrimPrefix(url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond}}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage))); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, d.conn.Close())
	}
	d.Endpoint = "http://" + l.Addr().String()
	d.server = grpc.NewServer(grpc.UnknownServiceHandler(d.pass), grpc.ForceServerCodec(rawCodec{}), grpc.MaxRecvMsgSize(maxMessage))
	go d.server.Serve(l) // until Close
	return d, nil
}

const maxMessage = 64 << 20

// SetVersion sets the version of later answers.
func (d *EtcdDisguise) SetVersion(version string) { d.version.Store(&version) }

// Close ends the server.
func (d *EtcdDisguise) Close() {
	d.server.Stop()
	d.conn.Close()
}

// pass handles a call.
func (d *EtcdDisguise) pass(_ any, from grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(from)
	ctx, cancel := context.WithCancel(from.Context())
	defer cancel()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	to, err := d.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for {
			var m []byte
			switch err := from.RecvMsg(&m); {
			case errors.Is(err, io.EOF):
				to.CloseSend()
				return
			case err != nil:
				cancel()
				return
			}
			if to.SendMsg(&m) != nil { // RecvMsg returns the error
				return
			}
		}
	}()
	for {
		var m []byte
		if err := to.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if version := *d.version.Load(); version != "" && method == etcdserverpb.Maintenance_Status_FullMethodName {
			var s etcdserverpb.StatusResponse
			if err := proto.Unmarshal(m, &s); err != nil {
				return err
			}
			s.Version = version
			if m, err = proto.Marshal(&s); err != nil {
				return err
			}
		}
		if err := from.SendMsg(&m); err != nil {
			return err
		}
	}
}

// rawCodec leaves messages as they are: values are of type *[]byte.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	if b, ok := v.(*[]byte); ok {
		return *b, nil
	}
	return nil, fmt.Errorf("marshal %T", v)
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = append([]byte(nil), data...)
		return nil
	}
	return fmt.Errorf("unmarshal into %T", v)
}
